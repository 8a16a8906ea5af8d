"""What boto3 sees of a server. Prints one JSON object: the name of each check that failed and why; {} is success."""

import base64
import io
import json
import sys
import time
import traceback
import urllib.error
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError, WaiterError

ROLE = "arn:aws:iam::000000000000:role/lambda"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
SOURCE = """
def handler(event, context):
    print("seen", event.get("name"))
    if event.get("fail"):
        raise ValueError(event["fail"])
    return {"hello": event.get("name"), "client": context.client_context and context.client_context.custom}
"""
CONFIG = Config(retries={"total_max_attempts": 1})
aws = boto3.client("lambda", config=CONFIG)
logs = boto3.client("logs", config=CONFIG)
checks = {}


def check(function):
    checks[function.__name__] = function
    return function


def package(source=SOURCE):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py", source)
    return data.getvalue()


def create(name, **settings):
    return aws.create_function(
        **{
            "FunctionName": name,
            "Role": ROLE,
            "Runtime": sys.argv[1],
            "Handler": "index.handler",
            "Code": {"ZipFile": package()},
            **settings,
        }
    )


def active(name):
    aws.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def updated(name):
    aws.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def refused(exception, code, message, call, **arguments):
    try:
        call(**arguments)
    except exception as error:
        told = error.response["Error"]
        assert told["Code"] == code, told
        assert message in told["Message"], told
        return error.response
    raise AssertionError(f"{call.__name__} was not refused")


@check
def lifecycle():
    made = create("boto", Tags={"team": "birds"}, Environment={"Variables": {"STAGE": "test"}})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201, made
    assert made["FunctionArn"] == ARN + "boto" and made["State"] == "Pending", made
    active("boto")
    answer = aws.invoke(FunctionName="boto", Payload=b'{"name": "hornero"}', LogType="Tail")
    assert json.load(answer["Payload"]) == {"hello": "hornero", "client": None}
    assert "FunctionError" not in answer and answer["ExecutedVersion"] == "$LATEST", answer
    assert "seen hornero\n" in base64.b64decode(answer["LogResult"]).decode()
    got = aws.get_function(FunctionName="boto")
    assert got["Tags"] == {"team": "birds"}, got
    with urllib.request.urlopen(got["Code"]["Location"]) as download:
        assert download.read()[:4] == b"PK\x03\x04"
    aws.update_function_code(FunctionName="boto", ZipFile=package(SOURCE.replace("hello", "goodbye")))
    updated("boto")
    changed = aws.update_function_configuration(FunctionName="boto", MemorySize=192, Timeout=5)
    assert (changed["MemorySize"], changed["Timeout"]) == (192, 5), changed
    updated("boto")
    assert json.load(aws.invoke(FunctionName="boto")["Payload"])["goodbye"] is None
    version = aws.publish_version(FunctionName="boto", Description="first")
    assert version["Version"] == "1", version
    alias = aws.create_alias(FunctionName="boto", Name="live", FunctionVersion="1")
    assert alias["AliasArn"] == ARN + "boto:live", alias
    assert aws.invoke(FunctionName="boto", Qualifier="live")["ExecutedVersion"] == "1"
    aws.delete_alias(FunctionName="boto", Name="live")
    assert aws.delete_function(FunctionName="boto")["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused(aws.exceptions.ResourceNotFoundException, "ResourceNotFoundException", "Function not found: " + ARN + "boto", aws.get_function, FunctionName="boto")


@check
def failures():
    create("fails")
    active("fails")
    failed = aws.invoke(FunctionName="fails", Payload=json.dumps({"fail": "on purpose"}))
    body = json.load(failed["Payload"])
    assert failed["FunctionError"] == "Unhandled" and failed["StatusCode"] == 200, failed
    assert (body["errorType"], body["errorMessage"]) == ("ValueError", "on purpose"), body
    assert body["requestId"] == failed["ResponseMetadata"]["RequestId"], body
    assert body["stackTrace"][-1].endswith('raise ValueError(event["fail"])\n'), body
    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    assert json.load(aws.invoke(FunctionName="fails", ClientContext=context)["Payload"])["client"] == {"a": "b"}
    assert aws.invoke(FunctionName="fails", InvocationType="DryRun")["StatusCode"] == 204
    assert aws.invoke(FunctionName="fails", InvocationType="Event")["StatusCode"] == 202


@check
def refusals():
    create("refuses")
    refused(aws.exceptions.ResourceConflictException, "ResourceConflictException", "Function already exist: refuses", create, name="refuses")
    invalid = refused(aws.exceptions.InvalidParameterValueException, "InvalidParameterValueException", "Could not unzip uploaded file", create, name="no-zip", Code={"ZipFile": b"no zip"})
    assert invalid["ResponseMetadata"]["HTTPStatusCode"] == 400 and invalid["Type"] == "User", invalid
    refused(ClientError, "ValidationException", "1 validation error detected: Value '9999' at 'timeout'", create, name="long", Timeout=9999)
    refused(aws.exceptions.InvalidRequestContentException, "InvalidRequestContentException", "Could not parse request body into json", aws.invoke, FunctionName="refuses", Payload=b"{no")
    refused(ClientError, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes", aws.invoke, FunctionName="refuses", Payload=b'"' + b"x" * 6291456 + b'"')
    refused(aws.exceptions.PreconditionFailedException, "PreconditionFailedException", "The Revision Id provided does not match", aws.update_function_configuration, FunctionName="refuses", RevisionId="0" * 8)
    try:
        aws.get_function()
    except ParamValidationError as error:
        assert 'Missing required parameter in input: "FunctionName"' in str(error), error
    else:
        raise AssertionError("a call without its parameter was made")
    try:
        aws.get_waiter("function_active_v2").wait(FunctionName="nobody")
    except WaiterError as error:
        assert "Function not found" in str(error), error
    else:
        raise AssertionError("the waiter found nobody")
    stranger = boto3.client("lambda", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x", config=CONFIG)
    refused(ClientError, "UnrecognizedClientException", "The security token included in the request is invalid.", stranger.list_functions)


@check
def pages():
    for index in range(5):
        create(f"page-{index}")
    found = []
    for page in aws.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}):
        assert len(page["Functions"]) <= 2
        found += [one["FunctionName"] for one in page["Functions"]]
    assert [name for name in found if name.startswith("page-")] == [f"page-{index}" for index in range(5)], found
    assert len(found) == len(set(found)), found


@check
def presigned():
    url = boto3.client("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert b"arn:aws:iam::000000000000:root" in answer.read()
    listing = aws.generate_presigned_url("list_functions", ExpiresIn=60)
    with urllib.request.urlopen(listing) as answer:
        assert "Functions" in json.load(answer)
    try:
        urllib.request.urlopen(listing.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
    except urllib.error.HTTPError as error:
        assert error.code == 403, error
    else:
        raise AssertionError("a changed URL was answered")


@check
def log_events():
    group = "/own/group"
    logs.create_log_group(logGroupName=group, tags={"a": "b"})
    refused(logs.exceptions.ResourceAlreadyExistsException, "ResourceAlreadyExistsException", "The specified log group already exists", logs.create_log_group, logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="stream")
    now = int(time.time() * 1000)
    events = [{"timestamp": now + index, "message": f"event {index}"} for index in range(25)]
    logs.put_log_events(logGroupName=group, logStreamName="stream", logEvents=events)
    found = []
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 10}):
        found += [event["message"] for event in page["events"]]
    assert found == [event["message"] for event in events], found
    logs.delete_log_group(logGroupName=group)
    refused(logs.exceptions.ResourceNotFoundException, "ResourceNotFoundException", "The specified log group does not exist", logs.filter_log_events, logGroupName=group)


failed = {}
for name, function in checks.items():
    try:
        function()
    except Exception:
        failed[name] = traceback.format_exc()
print(json.dumps(failed))
