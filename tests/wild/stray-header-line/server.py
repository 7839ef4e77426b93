from odd import reply, serve

serve(lambda request: reply(headers=["PHP Warning: Startup: no library"]))
