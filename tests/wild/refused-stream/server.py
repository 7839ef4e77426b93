from odd2 import REFUSED_STREAM, ok, reset, serve

# Each fourth request of a connection is refused.
serve(lambda number, stream: reset(stream, REFUSED_STREAM) if number % 4 == 0 else ok(stream))
