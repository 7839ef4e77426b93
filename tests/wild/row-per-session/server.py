import json

from odd import reply, serve


def answer(request):
    if request.target == "/login":
        return reply({"token": json.loads(request.body)["u"]})
    owner = request.target.removeprefix("/accounts/")
    own = request.headers.get("authorization") == f"Bearer {owner}"
    return reply(status="200 OK" if own else "403 Forbidden")


serve(answer)
