"""The common part of the odd servers: HTTP/1.1 on a free port of 127.0.0.1.

Prints the port, and then a line for each request: its method and target. What is odd is in the caller's function.
"""

import asyncio
import json
import socket
import struct
from collections import namedtuple

# `connection` counts from 1, and `number` counts the requests of that connection.
Request = namedtuple("Request", "connection number method target headers body")
# In place of an answer, or after its bytes: the connection is closed, or reset.
CLOSE, RESET = object(), object()


def reply(body=b"ok", status="200 OK", headers=()):
    """An answer as bytes; what is no bytes is sent as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin1") + body


def serve(answer, idle=None, farewell=b"", then_close=False, reads_bodies=True, resets=(), numbered=False):
    """Serves for ever. `answer` gets a Request and returns bytes, CLOSE or RESET, or bytes with one of these.

    `idle` is the time after which a silent connection is closed, in seconds, with a farewell. With `then_close`, each
    connection is closed after its first answer. Without `reads_bodies`, the answer comes after the head, and the
    connection is closed with the body unread. Connections whose number is in `resets` are reset before a request is
    read. If `numbered`, the lines have the number of the connection too.
    """
    closes = then_close or not reads_bodies
    asyncio.run(_serve(answer, idle, farewell, closes, reads_bodies, resets, numbered))


async def _serve(answer, idle, farewell, closes, reads_bodies, resets, numbered):
    connections = 0

    async def connection(reader, writer):
        nonlocal connections
        connections += 1
        own, number = connections, 0
        try:
            if own in resets:
                print("reset", flush=True)
                return _reset(writer)
            while True:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), idle)
                line, *lines = head[:-4].decode("latin1").split("\r\n")
                if line.count(" ") < 2:
                    continue  # The second part of the preface of HTTP/2.
                method, target, _ = line.split(" ", 2)
                pairs = (line.partition(":") for line in lines)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                length = int(headers.get("content-length", 0)) if reads_bodies else 0
                body = await reader.readexactly(length)
                number += 1
                print(method, target, *([own] if numbered else []), flush=True)
                sent = answer(Request(own, number, method, target, headers, body))
                sent, then = sent if isinstance(sent, tuple) else (sent, None)
                if isinstance(sent, bytes):
                    writer.write(sent)
                    await writer.drain()
                if RESET in (sent, then):
                    _reset(writer)
                if closes or sent in (CLOSE, RESET) or then:
                    return
        except asyncio.TimeoutError:
            writer.write(farewell)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _reset(writer):
    """Makes the close that follows a reset: SO_LINGER of 0 seconds."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
