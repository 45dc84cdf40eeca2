"""What ministack's Step Functions lack: `batch:submitJob.sync`, Batch's other operations, distributed Maps in JSONata,
the end of an execution's work when it is stopped, and the limits of payloads and histories. A job whose task's time is
over goes on: AWS does not promise to end it.
"""

import contextvars
import json

import calls
import contracts
import jobs
import resources
from ministack.services import batch
from ministack.services import stepfunctions as sfn

PAYLOAD_BYTES = 262_144
HISTORY_EVENTS = 25_000
SAMPLES = 3  # evaluations that are kept of an expression
SAMPLE_BYTES = 100_000
_POLL_SECONDS = 0.02

# Copied into every thread that works for an execution.
_EXECUTION = contextvars.ContextVar("execution", default=None)

_run_execution = sfn._run_execution
_fail_execution = sfn._fail_execution
_add_event = sfn._add_event
_invoke_resource = sfn._invoke_resource
_run_distributed_map = sfn._run_distributed_map
_error_matches = sfn._error_matches
_evaluate_jsonata = sfn._evaluate_jsonata

# IAM's names of services, and botocore's, that differ from those in a resource.
_NAMESPACES = {"sfn": "states", "sesv2": "ses"}
_MODELS = {"sfn": "stepfunctions"}
# What a call is about, in its arguments: IAM asks for these.
_ABOUT = ("ExecutionArn", "MapRunArn", "StateMachineArn", "TopicArn", "JobId")


_EVALUATIONS = {}


def evaluate_jsonata(expression, raw_input, ctx=None, result=None, error_output=None):
    """Keeps some evaluations of each expression, for the reference implementation to repeat."""
    value = _evaluate_jsonata(expression, raw_input, ctx, result, error_output)
    kept = _EVALUATIONS.setdefault(expression, [])
    if len(kept) < SAMPLES:
        ctx = ctx or {}
        states = {"input": raw_input, "result": result, "errorOutput": error_output}
        states["context"] = {name: ctx[name] for name in ("Execution", "State", "Map") if name in ctx}
        sample = {"variables": ctx.get("variables", {}), "states": states, "value": value}
        # A copy: variables change later.
        sample = json.dumps({"expression": expression, **sample}, default=str)
        if len(sample) < SAMPLE_BYTES:
            kept.append(json.loads(sample))
    return value


def evaluations():
    """[{"expression", "variables", "states", "value"}] of every expression that was evaluated."""
    return [sample for samples in list(_EVALUATIONS.values()) for sample in list(samples)]


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


def _record_job(job_id):
    if role := _role():
        calls.record_job(role, "batch:TerminateJob", job_id)


def _role():
    execution = _EXECUTION.get()
    machine = sfn._state_machines.get(execution["stateMachineArn"]) if execution else None
    return machine["roleArn"].rsplit("/", 1)[-1] if machine else None


def _record(action, *resources_of_call, **conditions):
    if role := _role():
        calls.record(role, action, resources_of_call or ("*",), **conditions)


def invoke_resource(resource, arguments):
    """Starts no task for an execution that was stopped."""
    if _stopped():
        raise sfn._ExecutionError("States.Runtime", "the execution was stopped")
    service, operation = resource.split(":::")[1].removeprefix("aws-sdk:").removesuffix(".sync").split(":")
    operation = f"{operation[:1].upper()}{operation[1:]}"
    if service == "lambda":
        _record("lambda:InvokeFunction", arguments["FunctionName"])
    elif service == "events":
        # An optimised integration takes JSON for it.
        entries = [{**entry, "Detail": json.dumps(entry["Detail"])} for entry in arguments["Entries"]]
        arguments = {**arguments, "Entries": entries}
        for entry in entries:
            bus = calls.arn("events", f"event-bus/{entry.get('EventBusName', 'default')}")
            _record("events:PutEvents", bus, **{"events:source": entry["Source"]})
    elif service != "batch" or operation != "SubmitJob":
        about = next((arguments[name] for name in _ABOUT if name in arguments), "*")
        about = "*" if operation in ("ListJobs", "DescribeJobs") else about
        if operation == "TerminateJob":
            _record_job(arguments["JobId"])
        else:
            _record(f"{_NAMESPACES.get(service, service)}:{operation}", about)
    _check(_MODELS.get(service, service), operation, arguments)
    return _invoke_resource(resource, arguments)


def _check(service, operation, arguments):
    """Holds the arguments of a task to the model of its call."""
    sent = dict(arguments)
    members = contracts.service_model(service).operation_model(operation).input_shape.members
    if not set(sent) <= set(members):
        sent = resources.camel(sent)
    if problem := contracts.problem(service, operation, sent):
        raise sfn._ExecutionError("States.Runtime", problem)


def error_matches(error_equals, error):
    """States.ALL does not include the errors that AWS excludes, and nothing catches States.Runtime."""
    if error == "States.Runtime":
        return False
    if error == "States.DataLimitExceeded":
        return error in error_equals
    return _error_matches(error_equals, error)


def submit_job(resource, arguments):
    """`batch:submitJob`, and with `.sync` the wait for the job's end."""
    definition = resources.find_definition(arguments.get("JobDefinition", "")) or {"jobDefinitionArn": "none"}
    _record("batch:SubmitJob", arguments["JobQueue"], definition["jobDefinitionArn"], calls.arn("batch", "job/*"))
    if tags := arguments.get("Tags"):
        _record("batch:TagResource", calls.arn("batch", "job/*"), **{f"aws:RequestTag/{key}": tags[key] for key in tags})
    answer = _call_batch("submitjob", arguments)
    if not resource.endswith(".sync"):
        return resources.pascal(answer)
    job = jobs.find(answer["jobId"])
    # What the role has to allow for `.sync`, beyond the calls that are seen here.
    _record("batch:DescribeJobs")
    rule = calls.arn("events", "rule/StepFunctionsGetEventsForBatchJobsRule")
    for action in ("PutTargets", "PutRule", "DescribeRule"):
        _record(f"events:{action}", rule)
    while not job.ended.wait(_POLL_SECONDS):
        if _stopped() and _EXECUTION.get()["status"] != "ABORTED":
            raise sfn._ExecutionError("States.Runtime", "the execution has ended, and its job has not")
        if _stopped():
            _record_job(job.record["jobId"])
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
    execution = _EXECUTION.get()
    if execution:
        _record("states:StartExecution", execution["stateMachineArn"])
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
    """Whether an execution has ended; KeyError if there is none."""
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
    sfn._error_matches = error_matches
    sfn._evaluate_jsonata = evaluate_jsonata
    sfn._run_distributed_map = run_distributed_map
    sfn._SERVICE_DISPATCH["arn:aws:states:::batch:submitJob"] = submit_job
    sfn._SERVICE_DISPATCH["arn:aws:states:::aws-sdk:batch:"] = call_batch
