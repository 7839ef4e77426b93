"""The common part of the odd servers of HTTP/2: frame by frame, without TLS, on a free port of 127.0.0.1.

Prints the port, and then a line for each request: the number of its stream.
"""

import asyncio
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, GOAWAY = 0, 1, 3, 4, 5, 7
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0, 2, 7, 8
MAX_STREAMS = 3
# Status 200, the eighth entry of the static table.
STATUS_200 = b"\x88"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def ok(stream):
    """Status 200 without a body."""
    return head(stream, flags=END_STREAM)


def head(stream, fields=STATUS_200, flags=0):
    return frame(HEADERS, flags | END_HEADERS, stream, fields)


def data(stream, body, flags=0):
    return frame(DATA, flags, stream, body)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def reset(stream, code):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last):
    """The connection ends; streams after `last` were not begun."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, 0))


def serve(answer, takes=0, first=settings(), later=None, goodbyes=None, early=()):
    """Serves for ever. `answer` gets the number of a request on its connection, and its stream. It returns frames, or
    nothing to close the connection. Frames are sent after `takes` seconds, while further requests come.

    A connection begins with the frames `first`; `later` are a time in seconds and the frames that are sent then.
    `goodbyes` are frames by the number of the connection, which they end before a request. The requests whose number is
    in `early` are answered at their head.
    """
    asyncio.run(_serve(answer, takes, first, later, goodbyes or {}, early))


async def _serve(answer, takes, first, later, goodbyes, early):
    connections = 0

    async def connection(reader, writer):
        nonlocal connections
        connections += 1
        goodbye = goodbyes.get(connections)
        number = 0
        try:
            await reader.readexactly(len(PREFACE))
            writer.write(first)
            if goodbye:
                return writer.write(goodbye)
            if later:
                asyncio.get_running_loop().call_later(later[0], writer.write, later[1])
            while True:
                head = await reader.readexactly(9)
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream = int.from_bytes(head[5:], "big")
                await reader.readexactly(length)
                if kind == SETTINGS and not flags & ACK:
                    writer.write(frame(SETTINGS, ACK, 0))
                comes_early = kind == HEADERS and number + 1 in early
                if comes_early or kind in (DATA, HEADERS) and flags & END_STREAM:
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
