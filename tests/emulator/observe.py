"""What tests see and do: who called what, and failures on demand. The paths below /_tagfleet.

    GET  /_tagfleet/calls       {principal: {IAM action: count}}; a principal is the name of a role, the tests' own
                                calls (key "test") are left out
    GET  /_tagfleet/verdict     {"denied", "needless"}: IAM's verdict on these calls (policies.py)
    GET  /_tagfleet/checked     {"service:Operation": count}: calls that were held to botocore's models (contracts.py)
    GET  /_tagfleet/evaluations [{"expression", "variables", "states", "value"}]: JSONata that state machines evaluated
    POST /_tagfleet/answers     {"names": [[service, operation, "path.of.names"]]}: {"unknown": [why]}: what AWS's answers lack
    GET  /_tagfleet/jobs        every Batch job as DescribeJobs returns it, with the "pid" of its latest process
    POST /_tagfleet/kill        {"job", "signal", "reason"?}: with a reason, the host went away under the job
    POST /_tagfleet/reclaim     {"job"}: a spot notice and SIGTERM now, and the end of the host two minutes later
    POST /_tagfleet/refuse_jobs {"count": n, "code": "ServerException", "status": 500}: the next n jobs are not submitted
    POST /_tagfleet/duplicate   {"on": true}: from now on every message sent to a queue arrives twice
    POST /_tagfleet/wait        {"execution": ARN} until it has ended, {"executions": n} until so many were started,
                                {"job": ID, "status": STATUS} until it has that status or has ended, {"alone": PID} until
                                every job but that of the process has ended: {"met": bool} after four minutes at most
    POST /_tagfleet/fill        {"bucket", "keys", "base64"}: writes one object under many keys, faster than requests
    POST /_tagfleet/expire      {}: every message in flight is visible now, as once its time is over, the last first
    POST /_tagfleet/bury        {}: every message of a queue with a dead-letter queue has been received too often
    POST /_tagfleet/slow_down   {"prefix": "BUCKET/PREFIX", "count": n, "code": "SlowDown"}: the next n S3 requests there get
                                503 with this code
"""

import asyncio
import base64
import json
import threading
import time
from urllib.parse import urlencode

import calls
import contracts
import jobs
import machines
import policies
from ministack import app
from ministack.core.router import detect_service, extract_access_key_id
from ministack.services import lambda_svc, s3, sqs

_WAIT_SECONDS = 240
_POLL_SECONDS = 0.01
_TOO_OFTEN = 1000  # more receives than any queue here allows
_UNAVAILABLE = "<Error><Code>%s</Code><Message>Please reduce your request rate.</Message></Error>"

_LOCK = threading.Lock()
_DUPLICATE = {"on": False}
_SLOW = {"prefix": "", "count": 0, "code": ""}

_dispatch = app._dispatch_service_request
_handle_ses_v2 = app._handle_ses_v2_request
_handle_before_body = app._handle_post_body_shortcuts
_credentials = lambda_svc.execution_credentials
_send_message = sqs._act_send_message


async def dispatch(method, path, headers, body, parameters, request_id):
    """Every request but those of SES v2."""
    service = detect_service(method, path, headers, app._routing_params(method, path, headers, body, parameters))
    if problem := _problem(method, path, headers, body, parameters):
        return _json(400, {"__type": "ValidationException", "message": problem})
    calls.record_request(service, method, path, headers, body, parameters)
    if service == "s3" and _is_slow(path):
        body = (_UNAVAILABLE % _SLOW["code"]).encode()
        return 503, {"Content-Type": "application/xml", "x-amz-request-id": request_id}, body
    answer = await _dispatch(method, path, headers, body, parameters, request_id)
    if service == "s3" and method in ("GET", "HEAD") and answer[0] == 404:
        calls.record_missing(extract_access_key_id(headers, parameters), path)
    return answer


def _problem(method, path, headers, body, parameters):
    """What AWS would refuse of a request."""
    query = urlencode([(name, value) for name, values in parameters.items() for value in values])
    return contracts.request_problem(method, f"{path}?{query}" if query else path, headers, body)


def _is_slow(path):
    with _LOCK:
        slow = _SLOW["count"] > 0 and path.lstrip("/").startswith(_SLOW["prefix"])
        _SLOW["count"] -= slow
        return slow


async def handle_ses_v2(method, path, headers, body, parameters, request_id):
    """Every request of SES v2."""
    if path.startswith(app._SES_V2_PREFIX):
        if problem := _problem(method, path, headers, body, parameters):
            return _json(400, {"message": problem})
        calls.record_request("ses", method, path, headers, body, parameters)
    return await _handle_ses_v2(method, path, headers, body, parameters, request_id)


def send_message(data, url):
    """A message, or two that are the same."""
    if _DUPLICATE["on"]:
        _send_message(data, url)
    return _send_message(data, url)


def credentials(config):
    """A function's key is its role's name."""
    return {**_credentials(config), "AWS_ACCESS_KEY_ID": config["Role"].rsplit("/", 1)[-1]}


async def handle_own(method, path, headers, body, parameters, request_id):
    """The paths below /_tagfleet."""
    if not path.startswith("/_tagfleet/"):
        return await _handle_before_body(method, path, headers, body, parameters, request_id)
    operation = (method, path.removeprefix("/_tagfleet/"))
    if operation not in _OPERATIONS:
        return _json(404, {"message": f"{method} {path} is none of the operations"})
    try:
        answer = _OPERATIONS[operation](json.loads(body or b"{}"))
        return _json(200, await answer if asyncio.iscoroutine(answer) else answer)
    except (KeyError, TypeError, ValueError) as error:
        return _json(400, {"message": f"{method} {path}: {error!r}"})


def _json(status, body):
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def _kill(request):
    jobs.find(request["job"]).signal(request["signal"], request.get("reason"))
    return {}


def _answers(request):
    found = (contracts.answer_problem(*name) for name in request["names"])
    return {"unknown": [problem for problem in found if problem]}


def _reclaim(request):
    jobs.find(request["job"]).reclaim()
    return {}


def _refuse_jobs(request):
    jobs.refuse(request["count"], request["code"], request["status"])
    return {}


def _fill(request):
    body = base64.b64decode(request["base64"])
    for key in request["keys"]:
        status, _, answer = s3._put_object(request["bucket"], key, body, {})
        if status != 200:
            raise ValueError(f"s3://{request['bucket']}/{key}: {answer.decode()}")
    return {}


def _expire(_request):
    for _, queue in sqs._queues.all_items():
        queue["messages"].reverse()
        for message in queue["messages"]:
            message["visible_at"] = min(message["visible_at"], time.time())
    return {}


def _bury(_request):
    for _, queue in sqs._queues.all_items():
        if "RedrivePolicy" in queue["attributes"]:
            for message in queue["messages"]:
                message["receive_count"] = _TOO_OFTEN
    return {}


def _set(switch):
    def change(request):
        with _LOCK:
            switch.update({name: request[name] for name in switch})
        return {}
    return change


async def _wait(request):
    until = time.monotonic() + _WAIT_SECONDS
    while not _met(request):
        if time.monotonic() > until:
            return {"met": False}
        await asyncio.sleep(_POLL_SECONDS)
    return {"met": True}


def _met(request):
    if "execution" in request:
        return machines.has_ended(request["execution"])
    if "executions" in request:
        return machines.count() >= request["executions"]
    if "alone" in request:
        return jobs.has_ended_but(request["alone"])
    return jobs.find(request["job"]).record["status"] in (request["status"], *jobs.ENDED)


_OPERATIONS = {
    ("GET", "calls"): lambda _request: calls.recorded(),
    ("GET", "verdict"): lambda _request: policies.verdict(),
    ("GET", "checked"): lambda _request: contracts.checked(),
    ("GET", "evaluations"): lambda _request: machines.evaluations(),
    ("POST", "answers"): _answers,
    ("GET", "jobs"): lambda _request: jobs.everything(),
    ("POST", "kill"): _kill,
    ("POST", "reclaim"): _reclaim,
    ("POST", "refuse_jobs"): _refuse_jobs,
    ("POST", "duplicate"): _set(_DUPLICATE),
    ("POST", "wait"): _wait,
    ("POST", "fill"): _fill,
    ("POST", "expire"): _expire,
    ("POST", "bury"): _bury,
    ("POST", "slow_down"): _set(_SLOW),
}


def install():
    """Puts these functions in the place of ministack's."""
    app._dispatch_service_request = dispatch
    app._handle_ses_v2_request = handle_ses_v2
    app._handle_post_body_shortcuts = handle_own
    lambda_svc.execution_credentials = credentials
    sqs._act_send_message = sqs._HANDLERS["SendMessage"] = send_message
