import gzip

from odd import CLOSE, reply, serve

OK = b"HTTP/1.1 200 OK\r\n"
OLD = b"HTTP/1.0 200 OK\r\n"
PLAIN = b"plain"
GZIP = gzip.compress(PLAIN)
# `printf plain | brotli -c`, and `printf plain | zstd -c --no-check`, both without their end.
BR = bytes.fromhex("0b0280706c6169")
ZSTD = bytes.fromhex("28b52ffd200529000070 6c6169".replace(" ", ""))
DIGITS = b"7" * 400


def chunked(coding, body, version=OK):
    head = version + b"Transfer-Encoding: " + coding + b"\r\n\r\n"
    return head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


ANSWERS = {
    "/gzip-transfer": chunked(b"gzip, chunked", GZIP),
    "/chunks-of-old": (chunked(b"chunked", PLAIN, OLD), CLOSE),
    "/last-coding": (OK + b"Transfer-Encoding: x-unchunked, identity\r\n\r\nplain", CLOSE),
    "/head": OK + b"Content-Length: 5\r\n\r\n",
    "/not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "/body-of-204": b"HTTP/1.1 204 No Content\r\n\r\nhello",
    "/left-over": reply() + b"HTTP/1.1 500 Left\r\nContent-Length: 0\r\n\r\n",
    "/old-keep": OLD + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "/old": (OLD + b"\r\nok", CLOSE),
    "/continue": b"HTTP/1.1 100 Continue\r\n\r\n" + reply(),
    "/refused": reply(b"", "417 Expectation Failed"),
    "/gzip-tail": reply(GZIP + b"\0\0 and more", headers=["Content-Encoding: gzip"]),
    "/gzip-twice": reply(GZIP + GZIP, headers=["Content-Encoding: gzip"]),
    "/br-cut": reply(BR, headers=["Content-Encoding: br"]),
    "/zstd-cut": reply(ZSTD, headers=["Content-Encoding: zstd"]),
    "/other-lengths": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", CLOSE),
    "/long-digits": reply(b'{"id": %s}' % DIGITS),
    "/items/" + DIGITS.decode(): reply(),
}


serve(lambda request: ANSWERS.get(request.target, reply(status="404 Not Found")))
