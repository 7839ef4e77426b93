from odd import reply, serve

serve(lambda request: reply(), idle=1.0, numbered=True)
