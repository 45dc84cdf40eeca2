"""AWS Batch jobs as local processes, with the states, retries, time limits and signals that AWS Batch documents.

An image is a program of this machine (BATCH_IMAGE_MAP, JSON); a job whose image is not in the map finds no capacity.
BATCH_SLOTS jobs run at a time, the rest is RUNNABLE. BATCH_ENVIRONMENT (JSON) is added to every job's environment, and
every duration that Batch has is multiplied by BATCH_TIME_SCALE, so that a test need not wait ten minutes. With
BATCH_INSTANCE_TYPE every attempt finds a metadata service, which says that it runs on a spot instance of this type.
Jobs of one container only: no dependencies, no multi-node jobs, no fair share, no pages in ListJobs.
"""

import contextvars
import json
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import contracts
import processes
from metadata import Metadata
from ministack.core.responses import error_response_json, get_account_id, get_region, new_uuid
from ministack.services import batch, cloudwatch_logs
import resources

IMAGES = json.loads(os.environ.get("BATCH_IMAGE_MAP", "{}"))
ENVIRONMENT = json.loads(os.environ.get("BATCH_ENVIRONMENT", "{}"))
INSTANCE_TYPE = os.environ.get("BATCH_INSTANCE_TYPE")
SCALE = float(os.environ.get("BATCH_TIME_SCALE", "1"))
STOP_SECONDS = 30  # between SIGTERM and SIGKILL, what ECS has by default
SPOT_SECONDS = 120  # between a spot notice and the end of the instance
ENDED = ("SUCCEEDED", "FAILED")
NOT_STARTED = ("SUBMITTED", "PENDING", "RUNNABLE")

_POOL = ThreadPoolExecutor(max_workers=int(os.environ.get("BATCH_SLOTS", "4")), thread_name_prefix="job")
_LOCK = threading.RLock()
_JOBS = {}
_REFUSALS = []  # of the next calls of SubmitJob


def _now():
    return int(time.time() * 1000)


def _later(seconds, do):
    """Does something after a duration of Batch; nothing is left of it when this process ends."""
    timer = threading.Timer(seconds * SCALE, contextvars.copy_context().run, (do,))
    timer.daemon = True
    timer.start()
    return timer


class Job:
    """A job, a child of an array, or (with children) the array itself."""

    def __init__(self, request, definition, queue, job_id, index=None, parent=None):
        self.definition, self.queue, self.parent, self.children = definition, queue, parent, []
        self.left = 0  # children that have not ended
        self.process = None
        self.metadata = None  # of the attempt's instance
        self.stop_reason = None  # of TerminateJob
        self.host_reason = None  # why the instance went away under the job
        self.ended = threading.Event()
        self.container = _container(definition, request)
        self.retry = request.get("retryStrategy") or definition.get("retryStrategy") or {"attempts": 1}
        self.timeout = request.get("timeout") or definition.get("timeout") or {}
        self.record = {
            "jobId": job_id,
            "jobArn": f"arn:aws:batch:{get_region()}:{get_account_id()}:job/{job_id}",
            "jobName": request["jobName"],
            "jobQueue": queue["jobQueueArn"],
            "jobDefinition": definition["jobDefinitionArn"],
            "status": "SUBMITTED",
            "attempts": [],
            "createdAt": _now(),
            "retryStrategy": self.retry,
            "timeout": self.timeout,
            "dependsOn": [],
            "parameters": {**definition.get("parameters", {}), **request.get("parameters", {})},
            "tags": request.get("tags", {}),
            "container": self.container,
        }
        if index is not None:
            self.record["arrayProperties"] = {"index": index}
        _JOBS[job_id] = self

    def describe(self):
        """The job as DescribeJobs returns it."""
        with _LOCK:
            described = {**self.record, "attempts": list(self.record["attempts"])}
            if self.children:
                states = [child.record["status"] for child in self.children]
                summary = {state: states.count(state) for state in sorted(set(states))}
                described["arrayProperties"] = {"size": len(self.children), "statusSummary": summary}
            return described

    def enter(self, status, reason=None):
        """Goes to a state, unless the job has ended already. Returns whether it did."""
        with _LOCK:
            if self.record["status"] in ENDED:
                return False
            self.record["status"] = status
            self.record.pop("statusReason", None)
            if reason:
                self.record["statusReason"] = reason
            if status in ENDED:
                self.record["stoppedAt"] = _now()
                self.ended.set()
        if self.parent and status in ENDED:
            self.parent.child_ended()
        return True

    def child_ended(self):
        """Ends the array with its last child."""
        with _LOCK:
            self.left -= 1
            if self.left:
                return
        if self.stop_reason or any(child.record["status"] == "FAILED" for child in self.children):
            self.enter("FAILED", self.stop_reason or "Array Child Job failed")
        else:
            self.enter("SUCCEEDED")

    def cancel(self, reason):
        """Ends the job if it has not started."""
        with _LOCK:
            if not self.children and self.record["status"] in NOT_STARTED:
                self.record["isCancelled"] = True
                self.enter("FAILED", reason)
        for child in self.children:
            child.cancel(reason)

    def terminate(self, reason):
        """Ends the job in whatever state it is."""
        with _LOCK:
            if self.record["status"] in ENDED:
                return
            self.stop_reason = reason
            self.record["isTerminated"] = True
        for child in self.children:
            child.terminate(reason)
        self.cancel(reason)
        self.stop_process()

    def stop_process(self):
        """SIGTERM to the job's first process, SIGKILL when its time to stop is over."""
        process = self.process
        if process and process.poll() is None:
            process.terminate()
            _later(STOP_SECONDS, process.kill)

    def reclaim(self):
        """As EC2 takes a spot instance back: a notice, a signal, and the end two minutes later."""
        process = self.process
        if process is None:
            raise ValueError(f"job {self.record['jobId']} has no process")
        if self.metadata:
            self.metadata.take_away(SPOT_SECONDS * SCALE)
        process.send_signal(signal.SIGTERM)
        _later(SPOT_SECONDS, lambda: self._end_host(process))

    def _end_host(self, process):
        if process.poll() is None:
            self.host_reason = "Host EC2 (instance i-00000000000000000) terminated."
            process.kill()

    def signal(self, number, reason=None):
        """A signal from outside; with a reason it is the host that went away and not the container that ended."""
        self.host_reason = reason
        if self.process is None:
            raise ValueError(f"job {self.record['jobId']} has no process")
        self.process.send_signal(number)


def _container(definition, request):
    """The container of a job: its definition's, and what the request overrides."""
    container = dict(definition["containerProperties"])
    overrides = request.get("containerOverrides") or {}
    for kind in ("environment", "resourceRequirements"):
        key = "name" if kind == "environment" else "type"
        merged = {item[key]: item for item in (container.get(kind) or []) + (overrides.get(kind) or [])}
        container[kind] = list(merged.values())
    parameters = {**definition.get("parameters", {}), **request.get("parameters", {})}
    command = overrides.get("command") or container.get("command") or []
    container["command"] = [re.sub(r"^Ref::(\w+)$", lambda m: parameters.get(m[1], m[0]), part) for part in command]
    return container


def place(job):
    """Runs a job when a slot is free; a job that nothing can run stays RUNNABLE until its queue's limit."""
    problem = resources.placement_problem(job.queue, job.container, IMAGES)
    if not job.enter("RUNNABLE", problem):
        return
    if problem is None:
        _POOL.submit(contextvars.copy_context().run, _run, job)
        return
    for action in job.queue.get("jobStateTimeLimitActions") or []:
        if problem.startswith(action["reason"]):
            reason = f"Canceled by JobStateTimeLimit action due to reason: {action['reason']}"
            _later(int(action["maxTimeSeconds"]), lambda: job.cancel(reason))


def _run(job):
    attempts = int(job.retry.get("attempts", 1))
    for attempt in range(1, attempts + 1):
        if not job.enter("STARTING"):
            return
        code, status_reason, may_retry = _attempt(job, attempt)
        if job.stop_reason:
            job.enter("FAILED", job.stop_reason)
            return
        if code == 0 and may_retry:
            job.enter("SUCCEEDED", status_reason)
            return
        if not may_retry or not retries(job.retry, code, job.record["container"].get("reason"), status_reason):
            break
        if attempt < attempts:
            job.enter("RUNNABLE")
    job.enter("FAILED", status_reason)


def retries(strategy, code, reason, status_reason):
    """Whether a failed attempt is tried again: the first rule decides of which every condition holds."""
    values = {"onExitCode": code, "onReason": reason, "onStatusReason": status_reason}
    for rule in strategy.get("evaluateOnExit") or []:
        if all(_matches(rule[name], value) for name, value in values.items() if name in rule):
            return rule["action"].upper() == "RETRY"
    return True


def _matches(pattern, value):
    value = "" if value is None else str(value)
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _attempt(job, attempt):
    """Runs a job's process once. Returns its exit code or none, the attempt's status reason, and whether the way it
    ended may be retried at all."""
    container = {key: value for key, value in job.container.items() if key not in ("exitCode", "reason")}
    stream, started, timed_out = _Log(job), _now(), False
    container["logStreamName"] = stream.name
    code, status_reason = None, "Essential container in task exited"
    with _LOCK:
        job.record["container"] = container
        job.record.setdefault("startedAt", started)
    try:
        # Under the lock, so that TerminateJob finds a process or a job that has not started.
        with _LOCK:
            if job.stop_reason:
                return None, job.stop_reason, False
            if INSTANCE_TYPE:
                job.metadata = Metadata(INSTANCE_TYPE, f"i-{new_uuid()[:8]}", f"{get_region()}a")
            job.process = _start(job, attempt)
            job.enter("RUNNING")
        copier = threading.Thread(target=contextvars.copy_context().run, args=(stream.copy, job.process.stdout))
        copier.start()
        timed_out = _wait(job)
        copier.join()
        code = job.process.returncode
        code = 128 - code if code < 0 else code
    except OSError as error:
        container["reason"], status_reason = f"CannotStartContainerError: {error}", "Task failed to start"
    finally:
        if job.metadata:
            job.metadata.end()
    if timed_out:
        status_reason = "Job attempt duration exceeded timeout"
    elif job.host_reason:
        code, status_reason, job.host_reason = None, job.host_reason, None
    detail = {"logStreamName": stream.name}
    if code is not None:
        container["exitCode"] = detail["exitCode"] = code
    if "reason" in container:
        detail["reason"] = container["reason"]
    with _LOCK:
        ended = {"container": detail, "startedAt": started, "stoppedAt": _now(), "statusReason": status_reason}
        job.record["attempts"].append(ended)
    return code, status_reason, not timed_out


def _start(job, attempt):
    record, container = job.record, job.container
    own = {item["name"]: str(item["value"]) for item in container["environment"]}
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
        # The access key names the caller: the job's role.
        "AWS_ACCESS_KEY_ID": container.get("jobRoleArn", "job-without-role").rsplit("/", 1)[-1],
        "AWS_SECRET_ACCESS_KEY": "secret",
        **own,
        **({"AWS_EC2_METADATA_SERVICE_ENDPOINT": job.metadata.endpoint()} if job.metadata else {}),
        **ENVIRONMENT,
        "AWS_BATCH_JOB_ID": record["jobId"],
        "AWS_BATCH_JQ_NAME": job.queue["jobQueueName"],
        "AWS_BATCH_CE_NAME": resources.first_compute_environment(job.queue),
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
    }
    if job.parent:
        environment["AWS_BATCH_JOB_ARRAY_INDEX"] = str(record["arrayProperties"]["index"])
    command = [IMAGES[container["image"]], *container["command"]]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    return processes.Process(command, env=environment, **output)


def _wait(job):
    """Waits for the job's process and ends what it left. Returns whether it timed out."""
    limit, timed_out = job.timeout.get("attemptDurationSeconds"), False
    try:
        job.process.wait(limit and int(limit) * SCALE)
    except subprocess.TimeoutExpired:
        timed_out = True
        job.stop_process()
        job.process.wait()
    processes.end_group(job.process.pid)
    return timed_out


class _Log:
    """The log stream of one attempt."""

    def __init__(self, job):
        options = (job.container.get("logConfiguration") or {}).get("options") or {}
        prefix = options.get("awslogs-stream-prefix", job.definition["jobDefinitionName"])
        self.group, self.name = options.get("awslogs-group", "/aws/batch/job"), f"{prefix}/default/{new_uuid()}"
        with _LOCK:
            if self.group not in cloudwatch_logs._log_groups:
                cloudwatch_logs._create_log_group({"logGroupName": self.group})
        cloudwatch_logs._create_log_stream({"logGroupName": self.group, "logStreamName": self.name})

    def copy(self, output):
        """Copies what a process prints, until it has ended."""
        with output:
            for line in output:
                event = {"timestamp": _now(), "message": line.decode(errors="replace").rstrip("\n")}
                names = {"logGroupName": self.group, "logStreamName": self.name}
                cloudwatch_logs._put_log_events({**names, "logEvents": [event]})


def _refused(message):
    return error_response_json("ClientException", message, 400)


def refuse(count, code, status):
    """Refuses the next `count` calls of SubmitJob."""
    _REFUSALS.extend([(code, status)] * count)


def submit(request):
    """SubmitJob."""
    if _REFUSALS:
        code, status = _REFUSALS.pop(0)
        return error_response_json(code, "the test says so", status)
    if problem := contracts.problem("batch", "SubmitJob", request):
        return _refused(problem)
    definition = resources.find_definition(request.get("jobDefinition", ""))
    queue = resources.find_queue(request.get("jobQueue", ""))
    size = (request.get("arrayProperties") or {}).get("size")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", request.get("jobName", "")):
        return _refused(f"Job name {request.get('jobName')!r} should match valid pattern")
    if definition is None:
        return _refused(f"JobDefinition: {request.get('jobDefinition')} does not exist or is not ACTIVE")
    if queue is None or queue["state"] != "ENABLED":
        return _refused(f"JobQueue {request.get('jobQueue')} not found or not ENABLED")
    if size is not None and not 2 <= size <= 10_000:
        return _refused(f"Array size {size} is not between 2 and 10000")
    if "dependsOn" in request or definition["type"] != "container":
        return _refused("this emulator runs container jobs without dependencies only")
    if problem := resources.strategy_problem(request):
        return _refused(problem)
    job = Job(request, definition, queue, new_uuid())
    job_id = job.record["jobId"]
    if size:
        job.children = [Job(request, definition, queue, f"{job_id}:{i}", i, job) for i in range(size)]
        job.left = size
        job.enter("PENDING")
    for single in job.children or [job]:
        place(single)
    return batch._json(200, {"jobId": job_id, "jobName": request["jobName"], "jobArn": job.record["jobArn"]})


def terminate(request):
    """TerminateJob."""
    return _end(request, Job.terminate)


def cancel(request):
    """CancelJob."""
    return _end(request, Job.cancel)


def _end(request, end):
    if not request.get("reason"):
        return _refused("reason is required")
    job = _JOBS.get(request.get("jobId"))
    if job is None:
        return _refused(f"Job {request.get('jobId')} not found")
    end(job, request["reason"])
    return batch._json(200, {})


def describe(request):
    """DescribeJobs."""
    return batch._json(200, {"jobs": [_JOBS[job].describe() for job in request.get("jobs") or [] if job in _JOBS]})


def list_jobs(request):
    """ListJobs: of a queue or of an array; RUNNING by default, and of every status if filtered by name."""
    if problem := contracts.problem("batch", "ListJobs", request):
        return _refused(problem)
    names = request.get("filters") or []
    if any(name["name"] != "JOB_NAME" or name["values"][0].endswith("*") for name in names):
        return _refused("this emulator filters jobs by their whole name only")
    wanted, array = request.get("jobStatus", "RUNNING"), request.get("arrayJobId")
    queue = None if array else resources.find_queue(request.get("jobQueue", ""))
    if array and array not in _JOBS or not array and queue is None:
        return _refused("a jobQueue or arrayJobId that exists is required")
    jobs = _JOBS[array].children if array else [job for job in _JOBS.values() if job.queue is queue and not job.parent]
    described = [job.describe() for job in jobs]
    if names:
        described = [job for job in described if job["jobName"].lower() == names[0]["values"][0].lower()]
    else:
        described = [job for job in described if job["status"] == wanted]
    return batch._json(200, {"jobSummaryList": [_summary(job) for job in described]})


def _summary(described):
    kept = ("jobId", "jobArn", "jobName", "jobDefinition", "status", "statusReason", "createdAt", "startedAt", "stoppedAt",
            "arrayProperties", "isCancelled", "isTerminated")
    container = {key: described["container"][key] for key in ("exitCode", "reason") if key in described["container"]}
    return {**{key: described[key] for key in kept if key in described}, "container": container}


def find(job_id):
    """A job; KeyError if there is none."""
    return _JOBS[job_id]


def tags(job_id):
    """The tags of a job; none if there is no such job."""
    return _JOBS[job_id].record["tags"] if job_id in _JOBS else {}


def everything():
    """Every job as DescribeJobs returns it, with the id of its latest process."""
    return [{**job.describe(), "pid": job.process and job.process.pid} for job in list(_JOBS.values())]


def has_ended_but(pid):
    """Whether every job but the one whose latest process this is has ended; arrays end with their children."""
    others = [job for job in list(_JOBS.values()) if not job.children and (job.process is None or job.process.pid != pid)]
    return all(job.record["status"] in ENDED for job in others)


def install():
    """Puts these operations in the place of ministack's."""
    batch._DISPATCH.update({
        "/v1/submitjob": submit,
        "/v1/terminatejob": terminate,
        "/v1/canceljob": cancel,
        "/v1/describejobs": describe,
        "/v1/listjobs": list_jobs,
    })
