from odd2 import goaway, ok, serve

serve(lambda number, stream: ok(stream), goodbyes={1: goaway(0)})
