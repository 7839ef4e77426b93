from odd import reply, serve


def answer(request):
    raw = any(character in request.target for character in '{}|^"<>`\\')
    return reply(status="400 Bad Request" if raw else "200 OK")


serve(answer)
