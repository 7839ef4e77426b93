from odd import reply, serve

serve(lambda request: reply(), then_close=True)
