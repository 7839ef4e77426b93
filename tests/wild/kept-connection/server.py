from odd import CLOSE, reply, serve

# The first request of each connection is answered; the second one meets the close.
serve(lambda request: reply() if request.number == 1 else CLOSE)
