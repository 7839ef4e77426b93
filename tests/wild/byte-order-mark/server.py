from odd import reply, serve

serve(lambda request: reply(b"\xef\xbb\xbf" + b'{"id": "a1"}'))
