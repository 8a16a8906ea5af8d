"""Durable executions and managed instances as boto3 sees them: their operations, paginators, and the errors that their models name."""

import json

from boto3_checks import ACCOUNT, REGION, WAIT, all_refused, check, has, paged, run
from boto3_functions import ARN, ROLE, create, lambda_, package

# Speaks the protocol of durable functions without AWS's SDK for them.
DURABLE = """
import json
def handler(event, context):
    given = json.loads(event["InitialExecutionState"]["Operations"][0]["ExecutionDetails"]["InputPayload"])
    if given["n"] < 0:
        return {"Status": "FAILED", "Error": {"ErrorType": "Negative", "ErrorMessage": "n is negative"}}
    return {"Status": "SUCCEEDED", "Result": json.dumps({"n": given["n"] + 1})}
"""
PROVIDER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:capacity-provider:"


@check
def durable_executions():
    create("durable", Code={"ZipFile": package(DURABLE)}, DurableConfig={"ExecutionTimeout": 600, "RetentionPeriodInDays": 7})
    lambda_.get_waiter("function_active_v2").wait(FunctionName="durable", WaiterConfig=WAIT)
    who = {"FunctionName": "durable", "Qualifier": "$LATEST"}
    answers = [lambda_.invoke(**who, Payload=json.dumps({"n": n}), DurableExecutionName=f"e{n}") for n in (1, 2)]
    assert [json.load(answer["Payload"]) for answer in answers] == [{"n": 2}, {"n": 3}]
    failed = lambda_.invoke(**who, Payload=b'{"n": -1}', DurableExecutionName="bad")
    assert failed["FunctionError"] == "Unhandled", failed
    execution = {"DurableExecutionArn": answers[0]["DurableExecutionArn"]}
    has(lambda_.get_durable_execution(**execution), DurableExecutionName="e1", Status="SUCCEEDED", Result='{"n": 2}', FunctionArn=ARN + "durable:$LATEST")
    events = paged(lambda_, "get_durable_execution_history", "Events", 1, **execution)
    assert [event["EventType"] for event in events] == ["ExecutionStarted", "InvocationCompleted", "ExecutionSucceeded"], events
    found = paged(lambda_, "list_durable_executions_by_function", "DurableExecutions", 1, FunctionName="durable", Statuses=["SUCCEEDED"])
    assert [one["DurableExecutionName"] for one in found] == ["e1", "e2"], found
    gone = {"DurableExecutionArn": ARN + "durable:$LATEST/durable-execution/nobody/01a20b25-dcfe-780e-98b7-75e3aea3ba22"}
    token = {"CheckpointToken": "bm9uZQ=="}
    callback = {"CallbackId": "bm9uZQ=="}
    all_refused([
        ("DurableExecutionAlreadyStartedException", "", lambda_.invoke, {**who, "Payload": b'{"n": 7}', "DurableExecutionName": "e1"}),
        ("InvalidParameterValueException", "unqualified ARN", lambda_.invoke, {"FunctionName": "durable"}),
        ("ResourceNotFoundException", "", lambda_.get_durable_execution, gone),
        ("ResourceNotFoundException", "", lambda_.get_durable_execution_history, gone),
        ("InvalidParameterValueException", "", lambda_.get_durable_execution_history, {**execution, "Marker": "?"}),
        ("ResourceNotFoundException", "", lambda_.list_durable_executions_by_function, {"FunctionName": "gone"}),
        ("ResourceNotFoundException", "", lambda_.stop_durable_execution, gone),
        ("InvalidParameterValueException", "", lambda_.checkpoint_durable_execution, {**gone, **token}),
        ("InvalidParameterValueException", "", lambda_.get_durable_execution_state, {**gone, **token}),
        ("InvalidParameterValueException", "", lambda_.send_durable_execution_callback_success, callback),
        ("InvalidParameterValueException", "", lambda_.send_durable_execution_callback_failure, callback),
        ("InvalidParameterValueException", "", lambda_.send_durable_execution_callback_heartbeat, callback),
    ])


@check
def capacity_providers():
    def make(name):
        vpc = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
        return lambda_.create_capacity_provider(CapacityProviderName=name, VpcConfig=vpc, PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE})

    made = make("p")["CapacityProvider"]
    has(made, State="Pending", CapacityProviderArn=PROVIDER + "p")
    make("q")
    has(lambda_.get_capacity_provider(CapacityProviderName="p")["CapacityProvider"], State="Active")
    changed = lambda_.update_capacity_provider(CapacityProviderName="p", CapacityProviderScalingConfig={"MaxVCpuCount": 12})
    has(changed["CapacityProvider"]["CapacityProviderScalingConfig"], MaxVCpuCount=12)
    found = paged(lambda_, "list_capacity_providers", "CapacityProviders", 1)
    assert [one["CapacityProviderArn"] for one in found] == [PROVIDER + "p", PROVIDER + "q"], found
    assert paged(lambda_, "list_function_versions_by_capacity_provider", "FunctionVersions", 1, CapacityProviderName="p") == []
    nowhere = {"CapacityProviderName": "nowhere"}
    scaled = {"FunctionName": "gone", "Qualifier": "1"}
    all_refused([
        ("ResourceConflictException", "", make, {"name": "p"}),
        ("ResourceNotFoundException", "", lambda_.get_capacity_provider, nowhere),
        ("ResourceNotFoundException", "", lambda_.update_capacity_provider, {**nowhere, "CapacityProviderScalingConfig": {"MaxVCpuCount": 12}}),
        ("ResourceNotFoundException", "", lambda_.delete_capacity_provider, nowhere),
        ("ResourceNotFoundException", "", lambda_.list_function_versions_by_capacity_provider, nowhere),
        ("ResourceNotFoundException", "", lambda_.get_function_scaling_config, scaled),
        ("ResourceNotFoundException", "", lambda_.put_function_scaling_config, {**scaled, "FunctionScalingConfig": {"MaxExecutionEnvironments": 1}}),
    ])
    has(lambda_.delete_capacity_provider(CapacityProviderName="q")["CapacityProvider"], State="Deleting")


run()
