"""Holds recorded calls of the lab to AWS's own models: `check.py calls.jsonl ...`

Prints a line for each way in which a call or its answer is not as the models say, and fails if there is one.
"""

import base64
import collections
import json
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree

import botocore.session
from botocore.model import ServiceModel

import reasons
import read
import shapes

# The names of models whose calls are signed for another name.
MODELS = {
    "elasticloadbalancing": "elbv2", "monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
}
# Parameters and headers that belong to the signature, the transport or the SDK, and to no operation.
OF_THE_CALL = {"x-id", "X-Amz-Algorithm", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"}
OF_THE_TRANSPORT = {
    "x-amz-date", "x-amz-content-sha256", "x-amz-user-agent", "x-amz-decoded-content-length", "x-amz-trailer",
    "x-amz-request-id", "x-amz-id-2", "x-amzn-requestid",
}


class Call:
    """A recorded call with its model."""

    def __init__(self, line, models):
        self.line = line
        self.service = models(line["service"])
        self.headers = line["headers"]
        path, _, query = line["path"].partition("?")
        self.path = path
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.body = content(line["body"])
        self.protocol, self.name, self.said = self.recognize()

    def recognize(self):
        """Returns the protocol, the name of the operation, and what names the version of the API."""
        target = self.headers.get("x-amz-target")
        if target:
            prefix, _, name = target.rpartition(".")
            return "json", name, prefix
        found = re.fullmatch(r"/service/(\w+)/operation/(\w+)", self.path)
        if found:
            return "smithy-rpc-v2-cbor", found[2], found[1]
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            self.form = dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))
            protocol = "ec2" if self.line["service"] == "ec2" else "query"
            return protocol, self.form.pop("Action", ""), self.form.pop("Version", "")
        return "rest-xml", self.rest_operation(), ""

    def rest_operation(self):
        """Returns the operation of a REST call: the one that names the most of its path, query and headers."""
        best, most = "", -1
        for name in self.service.operation_names if self.service else ():
            operation = self.service.operation_model(name)
            http, shape = operation.http, operation.input_shape
            uri, _, fixed = http["requestUri"].partition("?")
            fixed = dict(urllib.parse.parse_qsl(fixed, keep_blank_values=True))
            labels = labels_of(uri, self.path)
            if http["method"] != self.line["method"] or labels is None:
                continue
            if any(self.query.get(key) != value for key, value in fixed.items()):
                continue
            required = [shape.members[one] for one in shape.required_members] if shape else []
            asked = {"querystring": self.query, "header": self.headers}
            places = [(one.serialization.get("location"), one.serialization.get("name", "")) for one in required]
            needed = [(where, key) for where, key in places if where in asked]
            if any(key.lower() not in map(str.lower, asked[where]) for where, key in needed):
                continue
            if self.query.get("x-id", name) != name:
                continue
            score = 2 * (2 * len(fixed) + 2 * len(needed) + len(labels)) - bool(operation.deprecated)
            if score > most:
                best, most = name, score
        return best


def labels_of(uri, path):
    """Returns the labels of a path; None if it is not of this form."""
    pattern = ""
    for part in re.split(r"(\{\w+\+?\})", uri):
        label = re.fullmatch(r"\{(\w+)(\+?)\}", part)
        if label:
            pattern += f"(?P<{label[1]}>{'.+' if label[2] else '[^/]+'})"
        else:
            pattern += re.escape(part)
    found = re.fullmatch(pattern, path) or re.fullmatch(pattern + "/", path)
    return {key: urllib.parse.unquote(value) for key, value in found.groupdict().items()} if found else None


def content(body):
    """Returns the recorded bytes; None if they were left out."""
    return base64.b64decode(body["base64"]) if "base64" in body else None


class Checker:
    """Holds calls to the models, and counts them."""

    def __init__(self):
        self.loader = botocore.session.get_session().get_component("data_loader")
        self.services = {}
        self.deviations = collections.Counter()
        self.shown = {}
        self.calls = collections.Counter()

    def model(self, signed_for):
        name = MODELS.get(signed_for, signed_for)
        if name not in self.services:
            try:
                self.services[name] = ServiceModel(self.loader.load_service_model(name, "service-2"), name)
            except botocore.exceptions.UnknownServiceError:
                self.services[name] = None
        return self.services[name]

    def check(self, line):
        call = Call(line, self.model)
        name = f"{line['service']}:{call.name}"
        self.calls[name] += 1
        request, answer = shapes.Problems(), shapes.Problems()
        if call.service is None or call.name not in call.service.operation_names:
            request.add("", "is an operation of the model", f"{line['method']} {line['path']}")
        else:
            operation = call.service.operation_model(call.name)
            protocol_of(call, request)
            self.request(call, operation, request)
            if line["status"] < 300:
                self.answer(call, operation, answer)
            else:
                refusal(call, operation, answer)
        for where, problems in (("request", request), ("answer", answer)):
            for place, rule, shown in problems.found:
                deviation = (name, where, place, rule)
                self.deviations[deviation] += 1
                self.shown.setdefault(deviation, shown)

    def request(self, call, operation, problems):
        shape = operation.input_shape
        value = {}
        if call.protocol == "json":
            value = tree(shape, json_of(call.body, problems), problems)
        elif call.protocol == "smithy-rpc-v2-cbor":
            value = tree(shape, read.cbor(call.body), problems, is_cbor=True)
        elif call.protocol in ("query", "ec2"):
            forms = read.Forms(call.form, problems, call.protocol == "ec2")
            value = forms.structure(shape, "", "") if shape else {}
            for name in sorted(forms.left):
                problems.add("." + re.sub(r"\.\d+", "[]", name), "is no member")
        elif shape:
            value = rest_request(call, operation, problems)
        if shape:
            shapes.check(shape, value, "", problems, is_request=True)

    def answer(self, call, operation, problems):
        shape = operation.output_shape
        body = content(call.line["answer"])
        kind = call.line["answer_headers"].get("content-type", "")
        if call.protocol == "json":
            version = call.headers.get("content-type", "")
            if kind != version:
                problems.add("content-type", "is that of the call", kind)
            value = tree(shape, json_of(body, problems), problems)
        elif call.protocol == "smithy-rpc-v2-cbor":
            if call.line["answer_headers"].get("smithy-protocol") != "rpc-v2-cbor":
                problems.add("smithy-protocol", "is rpc-v2-cbor")
            value = tree(shape, read.cbor(body), problems, is_cbor=True)
        elif call.protocol == "rest-xml":
            value = rest_answer(call, operation, body, problems)
        else:
            value = query_answer(call, operation, body, problems)
        if shape and value is not None:
            shapes.check(shape, value, "", problems, is_request=False)

    def report(self):
        """Prints what was found; returns the number of deviations that have no reason."""
        without, used = 0, set()
        for deviation, count in sorted(self.deviations.items()):
            reason = reasons.of(*deviation)
            if reason:
                used.add(reason)
                continue
            without += 1
            name, where, place, rule = deviation
            print(f"{name} {where} {place or 'as a whole'}: {rule}{self.shown[deviation]} ({count} times)")
        print(f"{sum(self.calls.values())} calls of {len(self.calls)} operations, {without} deviations")
        print("operations:", " ".join(sorted(self.calls)))
        print("reasons met:", " ".join(sorted(used)))
        return without


def protocol_of(call, problems):
    """Holds protocol, version and content type to those of the service."""
    metadata = call.service.metadata
    offered = metadata.get("protocols", [metadata["protocol"]])
    if call.protocol not in offered:
        problems.add("", f"speaks one of {', '.join(offered)}", call.protocol)
    if call.protocol in ("json", "smithy-rpc-v2-cbor") and call.said != metadata["targetPrefix"]:
        problems.add("target", f"is {metadata['targetPrefix']}", call.said)
    if call.protocol in ("query", "ec2") and call.said != metadata["apiVersion"]:
        problems.add("Version", f"is {metadata['apiVersion']}", call.said)
    kinds = {"json": f"application/x-amz-json-{metadata.get('jsonVersion')}", "smithy-rpc-v2-cbor": "application/cbor"}
    kind = call.headers.get("content-type", "")
    # A call without parameters has no body in CBOR.
    if call.protocol in kinds and call.body and kind != kinds[call.protocol]:
        problems.add("content-type", f"is {kinds[call.protocol]}", kind)
    if call.protocol != "rest-xml" and call.line["method"] != "POST":
        problems.add("", "is sent by POST", call.line["method"])


def json_of(body, problems):
    try:
        return json.loads(body or b"{}")
    except ValueError:
        problems.add("", "is JSON", body)
        return {}


def tree(shape, raw, problems, is_cbor=False):
    if shape is None:
        if raw:
            problems.add("", "has no members", raw)
        return {}
    return read.Trees(problems, is_cbor).read(shape, raw, "") or {}


def xml(body, problems):
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        problems.add("", "is XML", error)
        return None


def headers_of(shape, headers, problems, checksum=None):
    """Reads the members that are headers; `checksum` is the operation's trait of that name."""
    value, known = {}, set(OF_THE_TRANSPORT)
    if checksum:
        known.update(name for name in headers if name.startswith("x-amz-checksum-"))
    for member, one in shape.members.items():
        where, name = one.serialization.get("location"), one.serialization.get("name", member).lower()
        if where == "headers":
            found = {key[len(name):]: text for key, text in headers.items() if key.startswith(name)}
            known.update(key for key in headers if key.startswith(name))
            if found:
                value[member] = found
        elif where == "header":
            known.add(name)
            if name in headers:
                text = headers[name]
                at = None
                if one.type_name == "timestamp":
                    at = read.written(text)
                elif one.type_name == "list":
                    at = [part.strip() for part in text.split(",")]
                else:
                    at = read.from_text(one, text, f".{member}", problems)
                if at is not None:
                    value[member] = at
    for name in headers:
        if name.startswith("x-amz-") and name not in known:
            problems.add(name, "is no member")
    return value


def payload(shape, operation_name, body, problems):
    """Reads the members in the body of a REST message."""
    name = shape.serialization.get("payload")
    if name is None:
        inside = {key: one for key, one in shape.members.items() if "location" not in one.serialization}
        if not inside or not body:
            return {}
        root = xml(body, problems)
        return {} if root is None else read.Xml(problems).structure(shape, root, "")
    one = shape.members[name]
    if one.type_name in ("blob", "string"):
        return {} if body is None else {name: body if one.type_name == "blob" else body.decode()}
    if not body:
        return {}
    root = xml(body, problems)
    expected = one.serialization.get("name", one.name)
    if root is None:
        return {}
    if read.tag(root) != expected:
        problems.add(f".{name}", f"is an element {expected}", read.tag(root))
    return {name: read.Xml(problems).structure(one, root, f".{name}")}


def rest_request(call, operation, problems):
    shape, value = operation.input_shape, {}
    uri, _, fixed = operation.http["requestUri"].partition("?")
    value.update(labels_of(uri, call.path))
    known = OF_THE_CALL | {key for key, _ in urllib.parse.parse_qsl(fixed, keep_blank_values=True)}
    for member, one in shape.members.items():
        name = one.serialization.get("name", member)
        if one.serialization.get("location") != "querystring":
            continue
        known.add(name)
        if name in call.query:
            text = call.query[name]
            at = [text] if one.type_name == "list" else read.from_text(one, text, f".{member}", problems)
            if at is not None:
                value[member] = at
    for name in call.query:
        if name not in known:
            problems.add(f"?{name}", "is no member")
    value.update(headers_of(shape, call.headers, problems, operation.http_checksum))
    value.update(payload(shape, call.name, call.body, problems))
    return value


def rest_answer(call, operation, body, problems):
    shape = operation.output_shape
    if shape is None:
        if body:
            problems.add("", "has no body", body)
        return {}
    value = headers_of(shape, call.line["answer_headers"], problems, operation.http_checksum)
    value.update(payload(shape, call.name, body, problems))
    return value


def query_answer(call, operation, body, problems):
    root = xml(body, problems)
    if root is None:
        return None
    if read.tag(root) != f"{call.name}Response":
        problems.add("", f"is an element {call.name}Response", read.tag(root))
    shape, others = operation.output_shape, ("ResponseMetadata", "requestId")
    children = {read.tag(child): child for child in root}
    if not set(children) & set(others):
        problems.add("", "has the id of the request")
    wrapper = shape.serialization.get("resultWrapper") if shape else None
    if wrapper:
        for name in sorted(set(children) - {wrapper, *others}):
            problems.add(f".{name}", "is no member")
        if wrapper not in children:
            problems.add("", f"has an element {wrapper}")
            return None
        return read.Xml(problems).structure(shape, children[wrapper], "")
    if shape is None:
        return {}
    return read.Xml(problems).structure(shape, root, "", others)


def refusal(call, operation, problems):
    """Holds an error to the errors of the operation, or to those that every operation has."""
    body = content(call.line["answer"])
    code, message = "", ""
    if call.line["method"] == "HEAD" or call.line["status"] == 304:
        return
    if call.protocol in ("json", "smithy-rpc-v2-cbor"):
        raw = read.cbor(body) if call.protocol != "json" else json_of(body, problems)
        code = str(raw.get("__type", "")).rpartition("#")[2]
        message = raw.get("message", raw.get("Message", ""))
    else:
        root = xml(body, problems)
        found = {} if root is None else {read.tag(one): one.text or "" for one in root.iter() if not len(one)}
        code, message = found.get("Code", ""), found.get("Message", "")
    if not code:
        problems.add("error", "has a code", body)
    if not message:
        problems.add("error", "has a message", body)
    modelled = {}
    for shape in operation.error_shapes:
        error = shape.metadata.get("error", {})
        modelled[error.get("code", shape.name)] = error.get("httpStatusCode")
        modelled[shape.name] = error.get("httpStatusCode")
    if code in modelled:
        status = modelled[code]
        if status and status != call.line["status"]:
            problems.add("error", f"has status {status} for {code}", call.line["status"])
    elif call.line["service"] not in reasons.UNMODELLED_ERRORS and code not in reasons.COMMON_ERRORS:
        problems.add("error", "is one of the operation's or of every operation's", code)


def main(files):
    checker = Checker()
    for file in files:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                checker.check(json.loads(line))
    return 1 if checker.report() or not checker.calls else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
