"""What ministack's Step Functions lack: `batch:submitJob.sync`, Batch's other operations, distributed Maps in JSONata,
the end of an execution's work when it is stopped or a task's time is over, and the limits of payloads and histories.
"""

import contextvars
import json

import jobs
import calls
import resources
from ministack.services import batch
from ministack.services import stepfunctions as sfn

PAYLOAD_BYTES = 262_144
HISTORY_EVENTS = 25_000
_POLL_SECONDS = 0.02

# Copied into every thread that works for an execution.
_EXECUTION = contextvars.ContextVar("execution", default=None)
_TASK_JOBS = contextvars.ContextVar("task_jobs", default=None)

_run_execution = sfn._run_execution
_fail_execution = sfn._fail_execution
_add_event = sfn._add_event
_invoke_resource = sfn._invoke_resource
_invoke_with_timeout = sfn._invoke_resource_with_timeout
_run_distributed_map = sfn._run_distributed_map

# What the role of a state machine has to allow for `.sync`, beyond the calls that are seen here.
_SYNC_ACTIONS = (
    "batch:DescribeJobs", "batch:TerminateJob", "events:PutTargets", "events:PutRule", "events:DescribeRule",
)
# Where IAM's name of a service is another than that of its SDK.
_NAMESPACES = {"sfn": "states", "sesv2": "ses"}


def run_execution(arn):
    """Runs an execution whose threads know which one they work for."""
    _EXECUTION.set(sfn._executions.get(arn))
    _run_execution(arn)


def fail_execution(execution, error, cause):
    """What fails because an execution was stopped does not change how it ended."""
    if execution["status"] == "RUNNING":
        _fail_execution(execution, error, cause)


def add_event(execution, kind, details=None):
    """Holds an execution to the limits of Step Functions."""
    if execution["status"] == "RUNNING":
        if len(execution["events"]) >= HISTORY_EVENTS:
            raise sfn._ExecutionError("States.Runtime", f"the history has {HISTORY_EVENTS} events")
        for detail in (details or {}).values():
            for name in ("input", "output"):
                if len(str(detail.get(name, "")).encode()) > PAYLOAD_BYTES:
                    cause = f"the {name} of {detail.get('name') or kind} has more than {PAYLOAD_BYTES} bytes"
                    raise sfn._ExecutionError("States.DataLimitExceeded", cause)
    return _add_event(execution, kind, details)


def _stopped():
    execution = _EXECUTION.get()
    return execution is not None and execution["status"] != "RUNNING"


def _record(*actions):
    execution = _EXECUTION.get()
    machine = sfn._state_machines.get(execution["stateMachineArn"]) if execution else None
    if machine:
        for action in actions:
            calls.record(machine["roleArn"].rsplit("/", 1)[-1], action)


def invoke_resource(resource, arguments):
    """Starts no task for an execution that was stopped."""
    if _stopped():
        raise sfn._ExecutionError("States.Runtime", "the execution was stopped")
    if "lambda:invoke" in resource:
        _record("lambda:InvokeFunction")
    if "aws-sdk:" in resource:
        service, action = resource.split("aws-sdk:")[1].split(":")
        _record(f"{_NAMESPACES.get(service, service)}:{action[:1].upper()}{action[1:]}")
    return _invoke_resource(resource, arguments)


def invoke_with_timeout(resource, arguments, seconds):
    """Ends the job of a task whose time is over."""
    started = []
    _TASK_JOBS.set(started)
    try:
        return _invoke_with_timeout(resource, arguments, seconds)
    except sfn._ExecutionError as error:
        if error.error == "States.Timeout":
            for job in started:
                job.terminate("Step Functions task timed out")
        raise


def submit_job(resource, arguments):
    """`batch:submitJob`, and with `.sync` the wait for the job's end."""
    _record("batch:SubmitJob")
    answer = _call_batch("submitjob", arguments)
    if not resource.endswith(".sync"):
        return resources.pascal(answer)
    _record(*_SYNC_ACTIONS)
    job = jobs.find(answer["jobId"])
    if _TASK_JOBS.get() is not None:
        _TASK_JOBS.get().append(job)
    while not job.ended.wait(_POLL_SECONDS):
        if _stopped():
            job.terminate("Step Functions execution was stopped")
    described = resources.pascal(job.describe())
    if described["Status"] == "FAILED":
        raise sfn._ExecutionError("States.TaskFailed", json.dumps(described))
    return described


def call_batch(resource, arguments):
    """`aws-sdk:batch:OPERATION`."""
    return resources.pascal(_call_batch(resource.rsplit(":", 1)[1].lower(), arguments))


def _call_batch(operation, arguments):
    status, _, body = batch._DISPATCH[f"/v1/{operation}"](resources.camel(arguments))
    answer = json.loads(body)
    if status >= 400:
        raise sfn._ExecutionError(f"Batch.{answer.get('__type', 'ClientException')}", answer.get("message", ""))
    return answer


def run_distributed_map(state, raw_input, effective, iterator, execution, ctx):
    """A distributed Map in JSONata. Its children see neither the variables nor the execution of their parent."""
    _record("states:StartExecution")
    if sfn._state_query_language(state, ctx) != "JSONata":
        return _run_distributed_map(state, raw_input, effective, iterator, execution, ctx)
    unknown = {"ItemBatcher", "ItemReader", "ResultWriter"} & set(state)
    if unknown:
        raise sfn._ExecutionError("States.Runtime", f"this emulator knows no {', '.join(sorted(unknown))} in JSONata")
    items = sfn._jsonata_state_field(state, "Items", "array", raw_input, ctx) if "Items" in state else raw_input
    children = [_child_input(state, raw_input, ctx, index, item) for index, item in enumerate(items)]
    plain = {key: value for key, value in state.items() if key not in ("Items", "ItemSelector", "Output", "Assign")}
    if "MaxConcurrency" in state:
        plain["MaxConcurrency"] = sfn._jsonata_state_field(state, "MaxConcurrency", "number", raw_input, ctx)
    child_ctx = {**ctx, "variables": {}, "Execution": {}}
    results, following = _run_distributed_map(plain, children, children, iterator, execution, child_ctx)
    output = sfn._apply_jsonata_output(state, raw_input, ctx, result=results, default=results)
    sfn._apply_state_assign(state, raw_input, ctx, result=results)
    return output, following


def _child_input(state, raw_input, ctx, index, item):
    if "ItemSelector" not in state:
        return item
    item_ctx = {**ctx, "Map": {"Item": {"Index": index, "Value": item}}}
    return sfn._apply_jsonata_template(state["ItemSelector"], raw_input, item_ctx)


def has_ended(arn):
    """Whether an execution has ended; KeyError where there is none."""
    return sfn._executions[arn]["status"] != "RUNNING"


def count():
    """How many executions were started, children of Maps left out."""
    return sum("mapRunArn" not in execution for execution in sfn._executions.values())


def install():
    """Puts these functions in the place of ministack's."""
    sfn._run_execution = run_execution
    sfn._fail_execution = fail_execution
    sfn._add_event = add_event
    sfn._invoke_resource = invoke_resource
    sfn._invoke_resource_with_timeout = invoke_with_timeout
    sfn._run_distributed_map = run_distributed_map
    sfn._SERVICE_DISPATCH["arn:aws:states:::batch:submitJob"] = submit_job
    sfn._SERVICE_DISPATCH["arn:aws:states:::aws-sdk:batch:"] = call_batch
