from odd import reply, serve

ITEMS = [{"id": number, "price": number * 10} for number in range(1, 10)]


def answer(request):
    right = ["/a", *(f"/b/{item['id']}/{item['price']}" for item in ITEMS)]
    return reply(ITEMS, "200 OK" if request.target in right else "404 Not Found")


serve(answer)
