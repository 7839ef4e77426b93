from odd2 import (
    CANCEL,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    NO_ERROR,
    PADDED,
    PUSH_PROMISE,
    STATUS_200,
    data,
    frame,
    goaway,
    head,
    reset,
    serve,
)


def literal(name, value):
    """A header field that is not indexed."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def whole(stream):
    return head(stream) + data(stream, b"ok", END_STREAM)


def half(stream):
    return head(stream) + data(stream, b"ok")


ANSWERS = {
    "/whole-then-reset": lambda stream: whole(stream) + reset(stream, NO_ERROR),
    "/early": lambda stream: whole(stream) + reset(stream, NO_ERROR),
    "/half-then-no-error": lambda stream: half(stream) + reset(stream, NO_ERROR),
    "/half-then-cancel": lambda stream: half(stream) + reset(stream, CANCEL),
    "/hints": lambda stream: head(stream, literal(b":status", b"103")) + whole(stream),
    "/trailers": lambda stream: half(stream) + head(stream, literal(b"x-sum", b"1"), END_STREAM),
    "/padded": lambda stream: head(stream) + frame(DATA, PADDED | END_STREAM, stream, b"\x03ok\0\0\0"),
    "/goodbye": lambda stream: goaway(stream) + whole(stream),
    "/too-short": lambda stream: head(stream, STATUS_200 + literal(b"content-length", b"5"))
    + data(stream, b"ok", END_STREAM),
    "/no-status": lambda stream: head(stream, literal(b"x-a", b"b"), END_STREAM),
    "/upper-case": lambda stream: head(stream, STATUS_200 + literal(b"X-A", b"b"), END_STREAM),
    "/pushed": lambda stream: frame(PUSH_PROMISE, END_HEADERS, stream, b"\0\0\0\x02" + STATUS_200) + whole(stream),
    "/right": whole,
}
PATHS = iter(ANSWERS.values())

serve(lambda number, stream: next(PATHS)(stream), early=(2,))
