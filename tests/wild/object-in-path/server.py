from odd import reply, serve

# The first item is an object, the others are texts.
ITEMS = iter([{"id": 1}])


def answer(request):
    return reply({"item": next(ITEMS, "2")} if request.target == "/newest" else b"ok")


serve(answer)
