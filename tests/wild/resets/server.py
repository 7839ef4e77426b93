from odd import RESET, reply, serve

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "/in-body": (OK + b"Content-Length: 10\r\n\r\nhalf", RESET),
    "/in-head": (OK + b"Server: x\r\n", RESET),
    "/right": reply(),
}

# The third connection is the one of /at-once, and the fourth that of /posted.
serve(lambda request: ANSWERS[request.target], resets=(3, 4))
