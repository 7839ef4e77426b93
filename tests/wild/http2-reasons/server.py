from odd2 import INTERNAL_ERROR, REFUSED_STREAM, goaway, ok, reset, serve

# In the order in which the requests come, those that are sent again included.
ANSWERS = iter(
    [
        lambda stream: reset(stream, REFUSED_STREAM),
        lambda stream: reset(stream, REFUSED_STREAM),
        lambda stream: reset(stream, INTERNAL_ERROR),
        lambda stream: goaway(max(stream - 2, 0)),
        lambda stream: goaway(max(stream - 2, 0)),
        ok,
        lambda stream: None,
        ok,
    ]
)

serve(lambda number, stream: next(ANSWERS)(stream))
