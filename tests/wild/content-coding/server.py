from odd import reply, serve


def answer(request):
    coding = request.target.removeprefix("/")
    headers = ["Content-Type: application/json", f"Content-Encoding: {coding}"]
    return reply({"id": 1}, headers=headers if "/" not in coding else [])


serve(answer)
