"""What AWS would refuse of a request before it does anything: names, types, limits and values of botocore's models.

Parameters are checked as an SDK takes them; signed requests also as they come over the wire, for some are not made by an
SDK. Nothing here knows what a service does.
"""

import collections
import functools
import json
import re
import threading
from urllib.parse import parse_qsl

from botocore.loaders import Loader
from botocore.model import ServiceModel

# The models by the names that requests are signed for. S3 and SQS are left out: only the SDK calls them.
_SIGNED_FOR = {
    "batch": "batch", "cloudformation": "cloudformation", "ec2": "ec2", "events": "events", "pricing": "pricing",
    "servicequotas": "service-quotas", "ses": "sesv2", "states": "stepfunctions", "sts": "sts",
}
_SCALARS = {"boolean": bool, "integer": int, "long": int, "float": (int, float), "double": (int, float), "string": str}
_LOADER = Loader()
_LOCK = threading.Lock()
_CHECKED = collections.Counter()


@functools.cache
def service_model(service):
    """The model of a service by its name in botocore."""
    return ServiceModel(_LOADER.load_service_model(service, "service-2"), service)


def problem(service, operation, parameters):
    """What is wrong with the parameters of a call; none if nothing is."""
    model = service_model(service)
    if operation not in model.operation_names:
        return f"{service} has no operation {operation}"
    with _LOCK:
        _CHECKED[f"{service}:{operation}"] += 1
    shape = model.operation_model(operation).input_shape
    found = _problem(shape, parameters, operation) if shape else None
    return found and f"{service}: {found}"


def answer_problem(service, operation, path):
    """Whether an answer has a name, `subnetSet.vpcId`, as it comes over the wire; lists are looked into."""
    shape = service_model(service).operation_model(operation).output_shape
    for name in path.split("."):
        while shape.type_name == "list":
            shape = shape.member
        members = {member.serialization.get("name", key): member for key, member in shape.members.items()}
        if name not in members:
            return f"{service}: the answer of {operation} has no {name} of {path}, only {', '.join(members)}"
        shape = members[name]
    return None


def coerced(service, operation, parameters):
    """Parameters with numbers and truths for texts that spell them, as CloudFormation passes properties on."""
    return _coerced(service_model(service).operation_model(operation).input_shape, parameters)


def _coerced(shape, value):
    if shape.type_name == "structure" and isinstance(value, dict):
        members = shape.members
        return {name: _coerced(members[name], item) if name in members else item for name, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_coerced(shape.member, item) for item in value]
    return _parsed(shape, value) if isinstance(value, str) else value


def checked():
    """{"service:Operation": count} of every call that was checked."""
    with _LOCK:
        return dict(sorted(_CHECKED.items()))


def _problem(shape, value, place):
    kind = shape.type_name
    if kind == "structure":
        return _structure_problem(shape, value, place)
    if kind == "list":
        if not isinstance(value, list):
            return f"{place} is not a list: {value!r}"
        return _limit_problem(shape, len(value), place) or _first(
            _problem(shape.member, item, f"{place}[{number}]") for number, item in enumerate(value))
    if kind == "map":
        if not isinstance(value, dict):
            return f"{place} is not a map: {value!r}"
        return _first(_problem(shape.value, item, f"{place}.{key}") for key, item in value.items())
    return _scalar_problem(shape, value, place)


def _structure_problem(shape, value, place):
    if not isinstance(value, dict):
        return f"{place} is not a structure: {value!r}"
    if getattr(shape, "is_document_type", False):
        return None
    missing = [name for name in shape.required_members if value.get(name) is None]
    if missing:
        return f"{place} lacks {', '.join(missing)}"
    unknown = [name for name in value if name not in shape.members]
    if unknown:
        return f"{place} has no {', '.join(unknown)}, only {', '.join(shape.members)}"
    members = ((name, item) for name, item in value.items() if item is not None)
    return _first(_problem(shape.members[name], item, f"{place}.{name}") for name, item in members)


def _scalar_problem(shape, value, place):
    expected = _SCALARS.get(shape.type_name)
    if expected is None:
        return None  # A blob or a time, which protocols write in ways of their own.
    if not isinstance(value, expected) or isinstance(value, bool) and expected is not bool:
        return f"{place} is not of type {shape.type_name}: {value!r}"
    if shape.type_name == "boolean":
        return None
    values = getattr(shape, "enum", None)
    if values and value not in values:
        return f"{place} is {value!r}, not one of {', '.join(values)}"
    pattern = shape.metadata.get("pattern")
    if pattern and isinstance(value, str) and _matches(pattern, value) is None:
        return f"{place} is {value!r}, which does not match {pattern}"
    return _limit_problem(shape, len(value) if isinstance(value, str) else value, place)


def _matches(pattern, value):
    try:
        return re.search(pattern, value)
    except re.error:
        return True  # A class of characters that Python has not.


def _limit_problem(shape, number, place):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and number < least or most is not None and number > most:
        return f"{place} is {number}, not from {least} to {most}"
    return None


def _first(problems):
    return next((found for found in problems if found), None)


def request_problem(method, path, headers, body):
    """The error of a signed request by the protocol of its service; None if it is valid or its service is unknown."""
    signed_for = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request", headers.get("authorization", ""))
    service = _SIGNED_FOR.get(signed_for and signed_for[1])
    # Requests of the tests themselves are not dated.
    if service is None or "x-amz-date" not in headers:
        return None
    model = service_model(service)
    read = {"json": _read_json, "query": _read_query, "ec2": _read_query, "rest-json": _read_rest}
    protocol = next((name for name in read if name in model.metadata["protocols"]), None)
    if protocol is None:
        return None  # A protocol that only SDKs speak.
    operation, parameters, found = read[protocol](model, method, path, headers, body)
    return found or problem(service, operation, parameters)


def _read_json(model, _method, _path, headers, body):
    prefix, _, operation = headers.get("x-amz-target", "").partition(".")
    if prefix != model.metadata["targetPrefix"]:
        return None, None, f"x-amz-target begins with {prefix}, not with {model.metadata['targetPrefix']}"
    wanted = f"application/x-amz-json-{model.metadata['jsonVersion']}"
    if headers.get("content-type") != wanted:
        return None, None, f"content-type is {headers.get('content-type')}, not {wanted}"
    return operation, json.loads(body or b"{}"), None


def _read_query(model, _method, _path, headers, body):
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    operation, version = fields.pop("Action", ""), fields.pop("Version", "")
    if version != model.api_version:
        return None, None, f"Version is {version}, not {model.api_version}"
    if operation not in model.operation_names:
        return None, None, f"{model.service_name} has no operation {operation}"
    shape, parameters = model.operation_model(operation).input_shape, {}
    for name, text in fields.items():
        found = _put(shape, name.split("."), text, parameters, is_ec2="ec2" in model.metadata["protocols"])
        if found:
            return None, None, f"{operation}: {name}: {found}"
    return operation, parameters, None


def _put(shape, names, text, into, is_ec2):
    """Puts a field `Filter.1.Value.2` into its place, and returns its error."""
    name, *rest = names
    members = {_wire_name(key, member, is_ec2): (key, member) for key, member in shape.members.items()}
    if name not in members:
        return f"no {name}, only {', '.join(members)}"
    key, member = members[name]
    if member.type_name == "structure":
        return _put(member, rest, text, into.setdefault(key, {}), is_ec2)
    if member.type_name == "list":
        if not is_ec2 and not member.serialization.get("flattened"):
            wanted = member.member.serialization.get("name", "member")
            if rest[:1] != [wanted]:
                return f"no {wanted} behind {name}"
            rest = rest[1:]
        return _put_item(member.member, rest, text, into.setdefault(key, []), is_ec2)
    into[key] = _parsed(member, text)
    return None


def _put_item(shape, names, text, items, is_ec2):
    number, *rest = names or [""]
    if not number.isdigit() or not 1 <= int(number) <= len(items) + 1:
        return f"items are not numbered from 1 on: {number!r}"
    if int(number) > len(items):
        items.append({} if shape.type_name == "structure" else None)
    if shape.type_name == "structure":
        return _put(shape, rest, text, items[int(number) - 1], is_ec2)
    items[int(number) - 1] = _parsed(shape, text)
    return None


def _wire_name(key, member, is_ec2):
    name = member.serialization.get("name", key)
    if not is_ec2:
        return name
    return member.serialization.get("queryName") or name[:1].upper() + name[1:]


def _parsed(shape, text):
    if shape.type_name in ("integer", "long") and re.fullmatch(r"-?\d+", text):
        return int(text)
    if shape.type_name == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _read_rest(model, method, path, _headers, body):
    path, _, query = path.partition("?")
    for operation in model.operation_names:
        described = model.operation_model(operation)
        template = described.http["requestUri"].partition("?")[0]
        labels = re.findall(r"{(\w+)\+?}", template)
        pattern = re.sub(r"{\w+\+?}", "([^/]+)", template)
        found = re.fullmatch(pattern, path)
        if found and method == described.http["method"]:
            members = described.input_shape.members if described.input_shape else {}
            names = {member.serialization.get("name", key): key for key, member in members.items()
                     if member.serialization.get("location") == "uri"}
            sent = json.loads(body or b"{}") | dict(parse_qsl(query))
            return operation, sent | {names[label]: text for label, text in zip(labels, found.groups())}, None
    return None, None, f"{model.service_name} has no {method} {path}"
