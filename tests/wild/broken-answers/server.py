from odd import CLOSE, RESET, reply, serve

OK = "HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "/other-protocol": "SSH-2.0-OpenSSH_9.6\r\n",
    "/nul-in-header": OK + "x: a\0b\r\n\r\n",
    "/long-head": OK + f"x: {'v' * 300 * 1024}\r\n\r\n",
    "/many-lines": OK + "x: y\r\n" * 5001 + "\r\n",
    "/switch": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "/length-in-words": OK + "content-length: ten\r\n\r\n",
    "/bad-chunks": OK + "transfer-encoding: chunked\r\n\r\nxyz",
    "/long-body": reply(b"b" * 17 * 1024 * 1024),
    "/half-body": OK + "content-length: 10\r\n\r\nhalf",
    "/half-head": OK + "server: x\r\n",
    "/silence": CLOSE,
    "/reset": RESET,
    "/right": reply(),
}


def answer(request):
    sent = ANSWERS[request.target]
    return sent.encode("latin1") if isinstance(sent, str) else sent


serve(answer, then_close=True)
