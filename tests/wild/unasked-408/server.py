from odd import reply, serve

serve(lambda request: reply(), idle=0.2, farewell=reply(b"", "408 Request Timeout", ["Connection: close"]))
