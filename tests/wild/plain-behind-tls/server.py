"""Answers whatever comes in plain HTTP, as a web server does on a port without TLS."""

import asyncio


async def connection(reader, writer):
    await reader.read(1)
    print("bytes", flush=True)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
