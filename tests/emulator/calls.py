"""Who called what: every AWS call by the principal that made it, as the IAM action that allows it, with what IAM would
know of it: resources and condition keys.
"""

import collections
import json
import re
import threading
from urllib.parse import parse_qsl, unquote

import jobs
from ministack.core.iam_actions import extract_iam_action
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id
from ministack.services import s3

TESTS = "test"  # the key of the tests themselves, whose calls are not recorded
# Requests for many that IAM allows as requests for one.
_BATCHES = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
# What a request to Step Functions is about.
_ABOUT = ("executionArn", "mapRunArn", "stateMachineArn")
# What S3 asks KMS for in the caller's name.
_KEY_USES = {"s3:GetObject": "kms:Decrypt", "s3:PutObject": "kms:GenerateDataKey"}

_LOCK = threading.Lock()
_CALLS = collections.defaultdict(collections.Counter)
_NEEDS = collections.defaultdict(collections.Counter)  # permissions that calls need besides their own action


def record(principal, action, resources=("*",), **conditions):
    """Counts a call: every one of the resources has to be allowed."""
    _count(_CALLS, principal, action, resources, conditions)


def _count(into, principal, action, resources, conditions):
    with _LOCK:
        into[principal][action, tuple(resources), tuple(sorted(conditions.items()))] += 1


def record_request(service, method, path, headers, body, parameters):
    """Counts a request under the key that signed it."""
    principal = extract_access_key_id(headers, parameters) or "nobody"
    if principal == TESTS:
        return
    found = extract_iam_action(service, method, path, headers, body, parameters)
    # Of a service that the emulator does not know.
    target = headers.get("x-amz-target", f".{method} {path}").partition(".")[2]
    action = _BATCHES.get(found, found or f"{service}:{target}")
    if service == "s3":
        _record_s3(principal, action, path, headers)
    elif service == "sqs":
        _record_sqs(principal, action, json.loads(body or b"{}"))
    elif action == "ses:SendEmail":
        sender = json.loads(body)["FromEmailAddress"]
        address = re.sub(r".*<(.+)>", r"\1", sender)
        to = json.loads(body).get("Destination") or {}
        recipients = tuple(one for kind in ("To", "Cc", "Bcc") for one in to.get(f"{kind}Addresses") or [])
        conditions = {"ses:FromAddress": address, **({"ses:Recipients": recipients} if recipients else {})}
        record(principal, action, [arn("ses", f"identity/{address}")], **conditions)
    elif service == "states":
        request = json.loads(body)
        record(principal, action, [next((request[name] for name in _ABOUT if name in request), "*")])
    elif action == "batch:TerminateJob":
        record_job(principal, action, json.loads(body)["jobId"])
    elif action == "cloudformation:DescribeStacks":
        name = dict(parse_qsl(body.decode())).get("StackName", "*")
        record(principal, action, [arn("cloudformation", f"stack/{name}/1")])
    else:
        record(principal, action)


def arn(service, resource):
    """The ARN of something of this account and region."""
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def record_job(principal, action, job_id):
    """A call about a job, which IAM may judge by the job's tags."""
    tags = jobs.tags(job_id)
    conditions = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    record(principal, action, [arn("batch", f"job/{job_id}")], **conditions)


def _record_s3(principal, action, path, headers):
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    record(principal, action, [f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"])
    if action == "s3:PutObject" and "x-amz-tagging" in headers:
        record(principal, "s3:PutObjectTagging", [f"arn:aws:s3:::{bucket}/{key}"])
    customer_key = re.search("<KMSMasterKeyID>(.+?)</KMSMasterKeyID>", str(s3._bucket_encryption.get(bucket) or ""))
    if customer_key and key and action in _KEY_USES:
        via = f"s3.{get_region()}.amazonaws.com"
        _count(_NEEDS, principal, _KEY_USES[action], [customer_key[1]], {"kms:ViaService": via})


def record_missing(principal, path):
    """The permission that S3 checks if there is no such object: without it the answer is 403 instead of 404."""
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    if key and principal not in (TESTS, None):
        _count(_NEEDS, principal, "s3:ListBucket", [f"arn:aws:s3:::{bucket}"], {})


def _record_sqs(principal, action, request):
    name = request.get("QueueName") or request.get("QueueUrl", "").rsplit("/", 1)[-1]
    record(principal, action, [arn("sqs", name)])
    if action == "sqs:CreateQueue" and request.get("tags"):
        record(principal, "sqs:TagQueue", [arn("sqs", name)])


def recorded():
    """{principal: {action: count}}."""
    counts = collections.defaultdict(collections.Counter)
    with _LOCK:
        for principal, calls in _CALLS.items():
            for (action, _, _), count in calls.items():
                counts[principal][action] += count
    return {principal: dict(sorted(actions.items())) for principal, actions in sorted(counts.items())}


def everything():
    """{principal: {(action, resources, conditions): count}} of the calls and of their additional permissions."""
    with _LOCK:
        return {principal: dict(calls + _NEEDS[principal]) for principal, calls in _CALLS.items()}
