from odd import reply, serve

LOCATIONS = {
    "/elsewhere": "http://other.example/x?session=1",
    "/app": "intent://open",
    "/round": "/round",
}


def answer(request):
    to = LOCATIONS.get(request.target)
    return reply(b"", "302 Found", [f"Location: {to}"] if to else [])


serve(answer)
