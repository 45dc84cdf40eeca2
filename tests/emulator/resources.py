"""AWS Batch's compute environments, job queues and job definitions: what ministack's stub forgets of them, and their
resources in CloudFormation.
"""

import copy

import contracts
from ministack.core.responses import error_response_json, new_uuid
from ministack.services import batch
from ministack.services.cloudformation import provisioners

CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
MAX_RESOURCE = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
# For these causes a job that stays RUNNABLE can be cancelled; Batch knows no others.
LIMIT_REASONS = (CAPACITY, MAX_RESOURCE, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
                 "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED")


def _short(reference):
    return reference.rsplit("/", 1)[-1]


def find_queue(reference):
    """A queue by its name or ARN, or none."""
    return batch._job_queues.get(_short(reference))


def find_definition(reference):
    """An active definition by name, name and revision, or ARN; the latest if no revision is named; None if there is none."""
    name, _, revision = _short(reference).partition(":")
    for definition in reversed(batch._job_definitions.get(name) or []):
        if definition["status"] == "ACTIVE" and revision in ("", str(definition["revision"])):
            return definition
    return None


def first_compute_environment(queue):
    """The name of the environment that a queue prefers."""
    order = sorted(queue["computeEnvironmentOrder"], key=lambda entry: int(entry["order"]))
    return _short(order[0]["computeEnvironment"]) if order else ""


def placement_problem(queue, container, images):
    """Why nothing can run a container, as the status reason of its RUNNABLE job; none where something can."""
    wanted = sum(float(need["value"]) for need in container["resourceRequirements"] if need["type"] == "VCPU")
    names = [_short(entry["computeEnvironment"]) for entry in queue["computeEnvironmentOrder"]]
    environments = [batch._compute_envs[name] for name in names if name in batch._compute_envs]
    enabled = [environment["computeResources"] for environment in environments if environment["state"] == "ENABLED"]
    if enabled and all(wanted > float(resources.get("maxvCpus", wanted)) for resources in enabled):
        return f"{MAX_RESOURCE} - CE(s) associated with the job queue cannot meet the CPU requirement of the job."
    if not enabled or container["image"] not in images:
        return f"{CAPACITY} - Service cannot fulfill the capacity requested for instance type [none]"
    return None


def strategy_problem(request):
    """What Batch would refuse in a retry strategy or a timeout."""
    strategy, timeout = request.get("retryStrategy") or {}, request.get("timeout") or {}
    if not 1 <= int(strategy.get("attempts", 1)) <= 10:
        return "RetryStrategy attempts must be between 1 and 10"
    if len(strategy.get("evaluateOnExit") or []) > 5:
        return "RetryStrategy evaluateOnExit has more than 5 rules"
    if strategy.get("evaluateOnExit") and "attempts" not in strategy:
        return "RetryStrategy evaluateOnExit needs attempts"
    if int(timeout.get("attemptDurationSeconds", 60)) < 60:
        return "Timeout attemptDurationSeconds must be at least 60"
    return None


def _refused(message):
    return error_response_json("ClientException", message, 400)


def _queue_problem(request):
    for action in request.get("jobStateTimeLimitActions") or []:
        if action["reason"] not in LIMIT_REASONS:
            return f"jobStateTimeLimitActions reason {action['reason']!r} is none of {', '.join(LIMIT_REASONS)}"
        if not 600 <= int(action["maxTimeSeconds"]) <= 86_400:
            return f"jobStateTimeLimitActions maxTimeSeconds {action['maxTimeSeconds']} is not between 600 and 86400"
        if (action["state"], action["action"]) != ("RUNNABLE", "CANCEL"):
            return "jobStateTimeLimitActions know only the state RUNNABLE and the action CANCEL"
    return None


def create_queue(request):
    """CreateJobQueue."""
    if problem := _queue_problem(request):
        return _refused(problem)
    answer = _create_queue(request)
    if answer[0] == 200:
        actions = request.get("jobStateTimeLimitActions") or []
        batch._job_queues[request["jobQueueName"]]["jobStateTimeLimitActions"] = actions
    return answer


def update_queue(request):
    """UpdateJobQueue."""
    queue = find_queue(request.get("jobQueue", ""))
    problem = "JobQueue not found" if queue is None else _queue_problem(request)
    if problem:
        return _refused(problem)
    changeable = ("state", "priority", "computeEnvironmentOrder", "jobStateTimeLimitActions", "tags")
    queue.update({key: request[key] for key in changeable if key in request})
    return batch._json(200, {key: queue[key] for key in ("jobQueueName", "jobQueueArn")})


def describe_environments(request):
    """DescribeComputeEnvironments, by names or ARNs."""
    wanted = [_short(reference) for reference in request.get("computeEnvironments") or []]
    return _describe_environments({**request, "computeEnvironments": wanted})


def register(request):
    """RegisterJobDefinition."""
    if problem := strategy_problem(request):
        return _refused(problem)
    answer = _register(request)
    if answer[0] == 200:
        kept = ("retryStrategy", "timeout", "parameters", "platformCapabilities", "propagateTags")
        definition = batch._job_definitions[request["jobDefinitionName"]][-1]
        definition.update({key: copy.deepcopy(request[key]) for key in kept if key in request})
    return answer


def deregister(request):
    """DeregisterJobDefinition."""
    definition = find_definition(request.get("jobDefinition", ""))
    if definition:
        definition["status"] = "INACTIVE"
    return batch._json(200, {})


def describe_definitions(request):
    """DescribeJobDefinitions: by ARNs, by a name, or all."""
    found = [revision for revisions in batch._job_definitions.values() for revision in revisions]
    if wanted := request.get("jobDefinitions"):
        known = ("jobDefinitionArn", "jobDefinitionName")
        found = [one for one in found if any(one[key] in wanted for key in known)]
    if name := request.get("jobDefinitionName"):
        found = [one for one in found if one["jobDefinitionName"] == name]
    if status := request.get("status"):
        found = [one for one in found if one["status"] == status]
    return batch._json(200, {"jobDefinitions": found})


def camel(value, key=""):
    """Names as the API writes them, from names as CloudFormation and Step Functions do. Keys of maps are the user's."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    if key in ("tags", "parameters", "options"):
        return dict(value)
    names = {name: name[:1].lower() + name[1:] for name in value}
    return {names[name]: camel(item, names[name]) for name, item in value.items()}


def pascal(value, key=""):
    """The way back: names as Step Functions returns them."""
    if isinstance(value, list):
        return [pascal(item) for item in value]
    if not isinstance(value, dict):
        return value
    if key in ("tags", "parameters", "options", "statusSummary"):
        return dict(value)
    return {name[:1].upper() + name[1:]: pascal(item, name) for name, item in value.items()}


_CREATES = {
    "ComputeEnvironment": "CreateComputeEnvironment",
    "JobQueue": "CreateJobQueue",
    "JobDefinition": "RegisterJobDefinition",
}


def _property_problem(kind, request):
    """What Batch would refuse of a resource's properties, some of which only its update knows."""
    if kind != "ComputeEnvironment":
        return contracts.problem("batch", _CREATES[kind], contracts.coerced("batch", _CREATES[kind], request))
    made = {name: value for name, value in request.items() if name not in ("replaceComputeEnvironment", "updatePolicy")}
    machines = dict(made.get("computeResources") or {})
    update = {"computeEnvironment": request["computeEnvironmentName"], "updatePolicy": request.get("updatePolicy")}
    if "updateToLatestImageVersion" in machines:
        update["computeResources"] = {"updateToLatestImageVersion": machines.pop("updateToLatestImageVersion")}
    calls = {_CREATES[kind]: {**made, "computeResources": machines}, "UpdateComputeEnvironment": update}
    found = (contracts.problem("batch", name, contracts.coerced("batch", name, call)) for name, call in calls.items())
    return next((problem for problem in found if problem), None)


class _Resource:
    """One of the three types as CloudFormation sees it: Ref is the ARN, and so is its only attribute."""

    def __init__(self, kind, create, change, remove):
        self.kind, self.create_call, self.change_call, self.remove_call = kind, create, change, remove
        self.key = kind[:1].lower() + kind[1:]

    def create(self, logical_id, properties, stack):
        """Makes it under its own name or one made from the stack's."""
        request = camel(properties)
        request.setdefault(f"{self.key}Name", f"{stack}-{logical_id}-{new_uuid()[:8]}")
        if problem := _property_problem(self.kind, request):
            raise ValueError(f"AWS::Batch::{self.kind}: {problem}")
        return self._call(self.create_call, request)

    def update(self, physical_id, _old, properties, _stack):
        """Changes it in place; of a job definition that makes the next revision."""
        name = _short(physical_id).partition(":")[0]
        request = {**camel(properties), f"{self.key}Name": name, self.key: name}
        answer = self._call(self.change_call, request)
        if self.kind == "JobDefinition":
            deregister({"jobDefinition": physical_id})
        return answer

    def delete(self, physical_id, _properties):
        """Removes it."""
        self.remove_call(physical_id)

    def _call(self, call, request):
        status, _, body = call(request)
        if status >= 400:
            raise ValueError(f"AWS::Batch::{self.kind}: {body.decode()}")
        name = request[f"{self.key}Name"]
        stores = {"ComputeEnvironment": batch._compute_envs, "JobQueue": batch._job_queues}
        record = stores[self.kind][name] if self.kind in stores else batch._job_definitions[name][-1]
        arn = record[f"{self.key}Arn"]
        return arn, {f"{self.kind}Arn": arn}

    def handlers(self):
        """What ministack's CloudFormation calls."""
        return {"create": self.create, "update": self.update, "delete": self.delete}


_create_queue = batch._create_job_queue
_register = batch._register_job_definition
_describe_environments = batch._describe_compute_environments


def install():
    """Puts these operations in the place of ministack's, and adds the resources to its own."""
    batch._DISPATCH.update({
        "/v1/createjobqueue": create_queue,
        "/v1/updatejobqueue": update_queue,
        "/v1/describecomputeenvironments": describe_environments,
        "/v1/registerjobdefinition": register,
        "/v1/deregisterjobdefinition": deregister,
        "/v1/describejobdefinitions": describe_definitions,
    })
    kinds = [
        _Resource("ComputeEnvironment", batch._create_compute_environment, batch._update_compute_environment,
                  lambda arn: batch._compute_envs.pop(_short(arn), None)),
        _Resource("JobQueue", create_queue, update_queue, lambda arn: batch._job_queues.pop(_short(arn), None)),
        _Resource("JobDefinition", register, register, lambda arn: deregister({"jobDefinition": arn})),
    ]
    provisioners._RESOURCE_HANDLERS.update({f"AWS::Batch::{kind.kind}": kind.handlers() for kind in kinds})
