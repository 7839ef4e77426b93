"""Reads values from the wire by their shapes: JSON, CBOR, query forms and XML.

What a shape does not have, and what has another type than its shape, becomes a problem and is not part of the value.
"""

import base64
import binascii
import datetime

import botocore.parsers
import botocore.utils

INTEGERS = ("integer", "long")
FLOATS = ("float", "double")


def name_of(shape, member):
    return shape.members[member].serialization.get("name", member)


class Trees:
    """Reads JSON and CBOR."""

    def __init__(self, problems, is_cbor=False):
        self.problems = problems
        self.is_cbor = is_cbor

    def read(self, shape, raw, place):
        """Returns the value, or None if it is not of the shape."""
        if raw is None:
            self.problems.add(place, "is absent rather than null")
            return None
        kind = shape.type_name
        known = {"structure": dict, "map": dict, "list": list, "string": str, "character": str, "boolean": bool}
        if kind in known:
            if not isinstance(raw, known[kind]):
                return self.wrong(place, kind, raw)
            return getattr(self, kind, lambda _shape, raw, _place: raw)(shape, raw, place)
        return self.scalar(shape, kind, raw, place)

    def structure(self, shape, raw, place):
        names = {name_of(shape, member): member for member in shape.members}
        value = {}
        for name, entry in raw.items():
            if name == "__type":
                continue
            if name not in names:
                self.problems.add(f"{place}.{name}", "is no member")
                continue
            member = names[name]
            read = self.read(shape.members[member], entry, f"{place}.{member}")
            if read is not None:
                value[member] = read
        return value

    def list(self, shape, raw, place):
        items = [self.read(shape.member, item, f"{place}[]") for item in raw]
        return [item for item in items if item is not None]

    def map(self, shape, raw, place):
        entries = {key: self.read(shape.value, entry, f"{place}{{}}") for key, entry in raw.items()}
        return {key: entry for key, entry in entries.items() if entry is not None}

    def scalar(self, shape, kind, raw, place):
        is_number = isinstance(raw, (int, float)) and not isinstance(raw, bool)
        if kind in INTEGERS:
            return raw if is_number and isinstance(raw, int) else self.wrong(place, kind, raw)
        if kind in FLOATS:
            return raw if is_number or raw in ("NaN", "Infinity", "-Infinity") else self.wrong(place, kind, raw)
        if kind == "timestamp":
            return self.timestamp(shape, raw, place, is_number)
        if kind == "blob":
            return self.blob(raw, place)
        return raw

    def timestamp(self, shape, raw, place, is_number):
        if self.is_cbor:
            return raw if isinstance(raw, datetime.datetime) else self.wrong(place, "timestamp", raw)
        is_written = shape.serialization.get("timestampFormat", "unixTimestamp") != "unixTimestamp"
        if is_written:
            return written(raw) if isinstance(raw, str) and written(raw) else self.wrong(place, "timestamp", raw)
        return raw if is_number else self.wrong(place, "timestamp", raw)

    def blob(self, raw, place):
        if self.is_cbor:
            return raw if isinstance(raw, bytes) else self.wrong(place, "blob", raw)
        try:
            return base64.b64decode(raw, validate=True)
        except (binascii.Error, TypeError, ValueError):
            return self.wrong(place, "blob", raw)

    def wrong(self, place, kind, raw):
        self.problems.add(place, f"is of type {kind}", raw)


def cbor(body):
    """Returns the tree of a CBOR body."""
    import io

    parser = botocore.parsers.RpcV2CBORParser()
    return parser.parse_data_item(io.BufferedReader(io.BytesIO(body))) if body else {}


def written(text):
    """Returns a written instant; None if it is none."""
    try:
        return botocore.utils.parse_timestamp(text)
    except ValueError:
        return None


def from_text(shape, text, place, problems):
    """Returns a value that the wire has as text: in forms, XML, headers and paths."""
    kind = shape.type_name
    try:
        if kind in INTEGERS:
            return int(text)
        if kind in FLOATS:
            return float(text)
    except ValueError:
        return problems.add(place, f"is of type {kind}", text)
    if kind == "boolean":
        return text == "true" if text in ("true", "false") else problems.add(place, "is of type boolean", text)
    if kind == "timestamp":
        at = None if text.replace(".", "").isdigit() else written(text)
        return at if at else problems.add(place, "is of type timestamp", text)
    if kind == "blob":
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return problems.add(place, "is of type blob", text)
    return text


class Forms:
    """Reads the parameters of the query protocol, and those of EC2."""

    def __init__(self, form, problems, is_ec2):
        self.form = form
        self.left = set(form)
        self.problems = problems
        self.is_ec2 = is_ec2

    def has(self, prefix):
        return prefix in self.form or any(name.startswith(prefix + ".") for name in self.form)

    def name(self, member, shape):
        if not self.is_ec2:
            return shape.serialization.get("name", member)
        if "queryName" in shape.serialization:
            return shape.serialization["queryName"]
        name = shape.serialization.get("name", member)
        return name[0].upper() + name[1:]

    def structure(self, shape, prefix, place):
        value = {}
        for member, one in shape.members.items():
            name = self.name(member, one)
            if one.type_name == "list" and one.serialization.get("flattened") and not self.is_ec2:
                name = one.member.serialization.get("name", name)
            name = f"{prefix}.{name}" if prefix else name
            if self.has(name):
                read = self.read(one, name, f"{place}.{member}")
                if read is not None:
                    value[member] = read
        return value

    def read(self, shape, prefix, place):
        kind = shape.type_name
        if kind == "structure":
            return self.structure(shape, prefix, place)
        if kind == "list":
            return self.list(shape, prefix, place)
        if kind == "map":
            return self.map(shape, prefix, place)
        if prefix not in self.form:
            return self.problems.add(place, f"is of type {kind}", "a structure")
        self.left.discard(prefix)
        return from_text(shape, self.form[prefix], place, self.problems)

    def numbered(self, prefix):
        at = 1
        while self.has(f"{prefix}.{at}"):
            yield f"{prefix}.{at}"
            at += 1

    def list(self, shape, prefix, place):
        if self.form.get(prefix) == "":
            self.left.discard(prefix)
            return []
        if not self.is_ec2 and not shape.serialization.get("flattened"):
            prefix += "." + shape.member.serialization.get("name", "member")
        items = [self.read(shape.member, one, f"{place}[]") for one in self.numbered(prefix)]
        return [item for item in items if item is not None]

    def map(self, shape, prefix, place):
        if not shape.serialization.get("flattened"):
            prefix += ".entry"
        key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        entries = {}
        for one in self.numbered(prefix):
            name = self.read(shape.key, f"{one}.{key}", place)
            entries[name] = self.read(shape.value, f"{one}.{value}", f"{place}{{}}")
        return entries


def tag(element):
    return element.tag.rpartition("}")[2]


class Xml:
    """Reads elements of XML."""

    def __init__(self, problems):
        self.problems = problems

    def read(self, shape, elements, place):
        """Reads a member from its elements, of which a flattened list may have several."""
        kind = shape.type_name
        if kind == "list":
            flat = shape.serialization.get("flattened")
            return self.list(shape, elements if flat else self.items(shape, elements, place), place)
        if kind == "map":
            return self.map(shape, elements, place)
        if len(elements) > 1:
            self.problems.add(place, "is there once")
        element = elements[-1]
        if kind == "structure":
            return self.structure(shape, element, place)
        if len(element):
            return self.problems.add(place, f"is of type {kind}", tag(element[0]))
        return from_text(shape, element.text or "", place, self.problems)

    def items(self, shape, elements, place):
        """Returns the items of a list that has an element of its own."""
        name = shape.member.serialization.get("name", "member")
        items = []
        for element in elements:
            for item in element:
                if tag(item) != name:
                    self.problems.add(f"{place}.{tag(item)}", f"is an item called {name}")
                items.append(item)
        return items

    def list(self, shape, items, place):
        values = [self.read(shape.member, [item], f"{place}[]") for item in items]
        return [value for value in values if value is not None]

    def map(self, shape, elements, place):
        entries = elements if shape.serialization.get("flattened") else [one for top in elements for one in top]
        key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        read = {}
        for entry in entries:
            parts = {tag(part): part for part in entry}
            if set(parts) != {key, value}:
                self.problems.add(place, f"has entries of {key} and {value}", sorted(parts))
                continue
            read[parts[key].text or ""] = self.read(shape.value, [parts[value]], f"{place}{{}}")
        return read

    def structure(self, shape, element, place, others=()):
        """Reads a structure; `others` are children that belong to the envelope."""
        names = {}
        for member, one in shape.members.items():
            name = one.serialization.get("name", member)
            if one.type_name == "list" and one.serialization.get("flattened"):
                name = one.member.serialization.get("name", name)
            names[name] = member
        children, value = {}, {}
        for child in element:
            children.setdefault(tag(child), []).append(child)
        for name, found in children.items():
            if name in others:
                continue
            if name not in names:
                self.problems.add(f"{place}.{name}", "is no member")
                continue
            member = names[name]
            read = self.read(shape.members[member], found, f"{place}.{member}")
            if read is not None:
                value[member] = read
        for name, text in element.attrib.items():
            member = names.get("xsi:type" if name.endswith("}type") else name)
            if member:
                value[member] = text
        return value
