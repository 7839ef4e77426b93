from odd import reply, serve

serve(lambda request: reply(b"too big", "413 Payload Too Large", ["Connection: close"]), reads_bodies=False)
