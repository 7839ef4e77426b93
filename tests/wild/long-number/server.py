from odd import reply, serve


def answer(request):
    return reply(status="200 OK" if b"123456789012345678901234567890" in request.body else "400 Bad Request")


serve(answer)
