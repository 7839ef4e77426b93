from odd2 import REFUSED_STREAM, ok, reset, serve

# Each fifth request of a connection is refused. An answer takes as long as four requests need to come.
serve(lambda number, stream: reset(stream, REFUSED_STREAM) if number % 5 == 0 else ok(stream), takes=0.2)
