"""Holds values to the shapes of AWS's service models, as botocore ships them.

A value has been read from the wire before: a structure is a dict, a timestamp a datetime or a number, a blob bytes.
Requests are held to everything that a model says. Answers are not held to lengths, patterns and ranges: AWS itself
does not keep them for its own output, and the lab's times are shorter than AWS's on purpose.
"""

import re


class Problems:
    """Deviations of one message, each with its place and its rule."""

    def __init__(self):
        self.found = []

    def add(self, place, rule, value=None):
        shown = "" if value is None else f": {str(value)[:120]!r}"
        self.found.append((place, rule, shown))


def check(shape, value, place, problems, is_request):
    """Holds a value to its shape."""
    kind = shape.type_name
    if kind == "structure":
        structure(shape, value, place, problems, is_request)
    elif kind == "list":
        size(shape, len(value), place, problems, is_request, "items")
        for item in value:
            check(shape.member, item, f"{place}[]", problems, is_request)
    elif kind == "map":
        size(shape, len(value), place, problems, is_request, "entries")
        for key, entry in value.items():
            check(shape.key, key, f"{place}{{key}}", problems, is_request)
            check(shape.value, entry, f"{place}{{}}", problems, is_request)
    elif kind in ("string", "character"):
        text(shape, value, place, problems, is_request)
    elif kind == "blob":
        size(shape, len(value), place, problems, is_request, "bytes")
    elif kind in ("integer", "long", "float", "double"):
        size(shape, value, place, problems, is_request, "value")


def structure(shape, value, place, problems, is_request):
    for name in shape.required_members:
        if name not in value:
            problems.add(f"{place}.{name}", "is required")
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        problems.add(place, "takes exactly one member", sorted(value))
    for name, member in value.items():
        check(shape.members[name], member, f"{place}.{name}", problems, is_request)


def text(shape, value, place, problems, is_request):
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        problems.add(place, f"is one of the {len(enum)} values of {shape.name}", value)
    size(shape, len(value), place, problems, is_request, "characters")
    pattern = shape.metadata.get("pattern")
    if is_request and pattern:
        # AWS matches the whole value, whether or not the pattern has anchors.
        if not re.fullmatch(python(pattern), value, re.DOTALL):
            problems.add(place, f"matches {pattern}", value)


# What models write, and what Python has for it. `\w` has digits and `_` too, which the models always add to `\p{L}`.
IN_PYTHON = {
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF", r"[\w-_]": r"[\w\-_]", r"\p{L}": r"\w", r"\p{N}": r"\d",
    r"\p{Z}": r"\s", r"\p{Zs}": r"\s", r"\p{M}": r"\u0300-\u036f", r"\p{P}": r"!-/:-@\[-`{-~", r"\p{S}": r"$+<=>^`|~",
    r"\p{Alnum}": "a-zA-Z0-9", r"\p{Alpha}": "a-zA-Z", r"\p{ASCII}": r"\x00-\x7f", r"\p{Print}": r"\x20-\x7e",
}


def python(pattern):
    """Returns a pattern of a model as Python has it."""
    for name, members in IN_PYTHON.items():
        pattern = pattern.replace(name, members)
    return pattern


def size(shape, length, place, problems, is_request, what):
    if not is_request:
        return
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and length < least:
        problems.add(place, f"has at least {least} {what}", length)
    if most is not None and length > most:
        problems.add(place, f"has at most {most} {what}", length)
