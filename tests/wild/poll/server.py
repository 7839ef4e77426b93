from odd import reply, serve

asked = 0


def answer(request):
    global asked
    asked += 1
    return reply({"state": "DONE" if asked >= 3 else "PENDING"})


serve(answer)
