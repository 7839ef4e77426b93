from odd import reply, serve

LOCATIONS = {
    "/from/script": "javascript:alert(1)",
    "/from/file": "file:///etc/passwd",
    "/from/data": "data:text/html,x",
    "/from/backslashes": "\\\\other.example\\x",
    "/from/user": "http://ada:hunter2@other.example/x",
    "/from/dots": "../../../to/./x/../dots",
    "/from/blanks": "  /to/a b\t",
    "/from/query": "?to",
    "/from/fragment": "/to/fragment#there",
    # Headers are written as Latin-1.
    "/from/utf-8": "/to/ü".encode().decode("latin1"),
    "/from/latin-1": "/to/ü",
    "/from/ping": "/from/pong",
    "/from/pong": "/from/ping",
}


def answer(request):
    to = LOCATIONS.get(request.target)
    return reply(b"", "302 Found", [f"Location: {to}"]) if to else reply()


serve(answer)
