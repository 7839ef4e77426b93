from odd import reply, serve

serve(lambda request: reply(status="503 Service Unavailable", headers=["Retry-After: 1"]))
