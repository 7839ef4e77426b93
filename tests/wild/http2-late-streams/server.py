from odd2 import MAX_STREAMS, ok, serve, settings

serve(lambda number, stream: ok(stream), first=settings((MAX_STREAMS, 0)), later=(0.5, settings((MAX_STREAMS, 9))))
