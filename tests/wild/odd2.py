"""The common part of the odd servers of HTTP/2: frame by frame, without TLS, on a free port of 127.0.0.1.

Prints the port, and then a line for each request: the number of its stream.
"""

import asyncio
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INTERNAL_ERROR, REFUSED_STREAM = 2, 7
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def ok(stream):
    """Status 200, the eighth entry of the static table, without a body."""
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, b"\x88")


def reset(stream, code):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last):
    """The connection ends; streams after `last` were not begun."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, 0))


def serve(answer, takes=0):
    """Serves for ever. `answer` gets the number of a request on its connection, and its stream. It returns frames, or
    nothing to close the connection. Frames are sent after `takes` seconds, while further requests come.
    """
    asyncio.run(_serve(answer, takes))


async def _serve(answer, takes):
    async def connection(reader, writer):
        number = 0
        try:
            await reader.readexactly(len(PREFACE))
            writer.write(frame(SETTINGS, 0, 0))
            while True:
                head = await reader.readexactly(9)
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream = int.from_bytes(head[5:], "big")
                await reader.readexactly(length)
                if kind == SETTINGS and not flags & ACK:
                    writer.write(frame(SETTINGS, ACK, 0))
                if kind in (DATA, HEADERS) and flags & END_STREAM:
                    number += 1
                    print("stream", stream, flush=True)
                    sent = answer(number, stream)
                    if not sent:
                        return
                    asyncio.get_running_loop().call_later(takes, writer.write, sent)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
