"""Who called what: every AWS call by the principal that made it, as the IAM action that allows it."""

import collections
import json
import threading

from ministack.core.iam_actions import extract_iam_action
from ministack.core.router import extract_access_key_id

TESTS = "test"  # the key of the tests themselves, whose calls are not recorded
# Requests for many that IAM allows as requests for one.
_BATCHES = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}

_LOCK = threading.Lock()
_CALLS = collections.defaultdict(collections.Counter)


def record(principal, action):
    """Counts a call."""
    with _LOCK:
        _CALLS[principal][action] += 1


def record_request(service, method, path, headers, body, parameters):
    """Counts a request under the key that signed it."""
    principal = extract_access_key_id(headers, parameters) or "nobody"
    if principal == TESTS:
        return
    action = extract_iam_action(service, method, path, headers, body, parameters)
    record(principal, _BATCHES.get(action, action or f"{service}:{method} {path}"))
    # The two that need a second permission.
    if action == "sqs:CreateQueue" and json.loads(body).get("tags"):
        record(principal, "sqs:TagQueue")
    if action == "s3:PutObject" and "x-amz-tagging" in headers:
        record(principal, "s3:PutObjectTagging")


def recorded():
    """{principal: {action: count}}."""
    with _LOCK:
        return {principal: dict(sorted(actions.items())) for principal, actions in sorted(_CALLS.items())}
