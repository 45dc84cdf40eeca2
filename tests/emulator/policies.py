"""IAM's verdict on the calls that were recorded: is each allowed by the role that made it, and does each statement of a
role allow a call that nothing else does?

Inline policies of roles alone: no boundary, no policy of a resource, no session. A statement that uses more of IAM than
the stack's policies do is an error, never an answer.
"""

import collections
import functools
import json
import pathlib
import re

import calls
from ministack.services import iam

OPERATOR = "operator"
OPERATOR_POLICY = pathlib.Path(__file__).parents[2] / "infra" / "operator-policy.json"
_KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition"}


def verdict():
    """{"denied": calls that no statement allows, "needless": statements and actions that no call needs}."""
    denied, needless = [], []
    for role, made in sorted(calls.everything().items()):
        statements = _statements(role)
        needed = set()
        for action, resource, conditions in _one_by_one(made):
            matching = [one for one in statements if _matches_call(one, action, resource, dict(conditions))]
            allowing = [one for one in matching if one["Effect"] == "Allow"]
            if not allowing or len(allowing) < len(matching):
                denied.append(f"{role}: {action} on {resource} {dict(conditions) or ''}".rstrip())
            if len(allowing) == 1:
                needed.add((allowing[0]["Sid"], action))
        for statement in (one for one in statements if one["Effect"] == "Allow"):
            for action in _many(statement["Action"]):
                if (statement["Sid"], action) not in needed:
                    needless.append(f"{_short(role)} {statement['Sid']} {action}")
    return {"denied": sorted(denied)[:50], "needless": sorted(needless)}


def _one_by_one(made):
    return {(action, resource, conditions) for action, resources, conditions in made for resource in resources}


def _short(role):
    """A role's name in the template: the emulator calls it STACK-NAME-DIGITS."""
    return role.split("-")[1] if role.count("-") >= 2 else role


def _documents(role):
    """The policies of a role; those of a user of the command are in a file."""
    if role == OPERATOR:
        return [OPERATOR_POLICY.read_text().replace("SOURCE-BUCKET", "shop").replace("KEY-ID", "b")]
    return (iam._roles.get(role) or {"InlinePolicies": {}})["InlinePolicies"].values()


def _statements(role):
    found = []
    for document in _documents(role):
        document = json.loads(document) if isinstance(document, str) else document
        found.extend(document["Statement"])
    for statement in found:
        unknown = set(statement) - _KNOWN
        if unknown or statement["Effect"] not in ("Allow", "Deny"):
            raise ValueError(f"{role}: a statement with {statement['Effect']}, {unknown}")
    return found


def _matches_call(statement, action, resource, conditions):
    return (any(_matches(pattern.lower(), action.lower()) for pattern in _many(statement["Action"]))
            and any(_matches(pattern, resource) for pattern in _many(statement["Resource"]))
            and all(_holds(operator, wanted, conditions) for operator, wanted in (statement.get("Condition") or {}).items()))


def _holds(operator, wanted, conditions):
    """Whether all keys of an operator hold. One that the call has not holds never, but for ForAllValues, which holds for
    every value of none."""
    if operator == "Null":
        return all((key in conditions) != (str(absent).lower() == "true") for key, absent in wanted.items())
    quantifier, _, operator = operator.rpartition(":")
    same = {"StringEquals": lambda pattern, value: pattern == value, "StringLike": _matches}[operator]
    if quantifier not in ("", "ForAllValues"):
        raise ValueError(f"a condition with {quantifier}")
    if not quantifier and not all(key in conditions for key in wanted):
        return False
    return all(any(same(pattern, value) for pattern in _many(patterns))
               for key, patterns in wanted.items() for value in _values(conditions.get(key, ())))


def _values(value):
    return value if isinstance(value, tuple) else (value,)


def _many(value):
    return value if isinstance(value, list) else [value]


@functools.cache
def _pattern(text):
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in text), re.DOTALL)


def _matches(pattern, value):
    return _pattern(pattern).fullmatch(value) is not None
