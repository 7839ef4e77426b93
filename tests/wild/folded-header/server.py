from odd import reply, serve

serve(lambda request: reply(headers=["X-Note: first,", " second"]))
