"""What boto3 sees of functions that run, and of requests that are signed: invocation, failures, refusals, presigned URLs, logs."""

import base64
import json
import time
import urllib.error
import urllib.request

from botocore.exceptions import ParamValidationError, WaiterError

from boto3_checks import check, client, refused, run
from boto3_functions import ARN, SOURCE, active, create, lambda_, package, updated

logs = client("logs")
sts = client("sts")


@check
def lifecycle():
    made = create("boto", Tags={"team": "birds"}, Environment={"Variables": {"STAGE": "test"}})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201, made
    assert made["FunctionArn"] == ARN + "boto" and made["State"] == "Pending", made
    active("boto")
    answer = lambda_.invoke(FunctionName="boto", Payload=b'{"name": "hornero"}', LogType="Tail")
    assert json.load(answer["Payload"]) == {"hello": "hornero", "client": None}
    assert "FunctionError" not in answer and answer["ExecutedVersion"] == "$LATEST", answer
    assert "seen hornero\n" in base64.b64decode(answer["LogResult"]).decode()
    got = lambda_.get_function(FunctionName="boto")
    assert got["Tags"] == {"team": "birds"}, got
    with urllib.request.urlopen(got["Code"]["Location"]) as download:
        assert download.read()[:4] == b"PK\x03\x04"
    lambda_.update_function_code(FunctionName="boto", ZipFile=package(SOURCE.replace("hello", "goodbye")))
    updated("boto")
    changed = lambda_.update_function_configuration(FunctionName="boto", MemorySize=192, Timeout=5)
    assert (changed["MemorySize"], changed["Timeout"]) == (192, 5), changed
    updated("boto")
    assert json.load(lambda_.invoke(FunctionName="boto")["Payload"])["goodbye"] is None
    version = lambda_.publish_version(FunctionName="boto", Description="first")
    assert version["Version"] == "1", version
    alias = lambda_.create_alias(FunctionName="boto", Name="live", FunctionVersion="1")
    assert alias["AliasArn"] == ARN + "boto:live", alias
    assert lambda_.invoke(FunctionName="boto", Qualifier="live")["ExecutedVersion"] == "1"
    lambda_.delete_alias(FunctionName="boto", Name="live")
    assert lambda_.delete_function(FunctionName="boto")["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("ResourceNotFoundException", "Function not found: " + ARN + "boto", lambda_.get_function, FunctionName="boto")


@check
def failures():
    create("fails")
    active("fails")
    failed = lambda_.invoke(FunctionName="fails", Payload=json.dumps({"fail": "on purpose"}))
    body = json.load(failed["Payload"])
    assert failed["FunctionError"] == "Unhandled" and failed["StatusCode"] == 200, failed
    assert (body["errorType"], body["errorMessage"]) == ("ValueError", "on purpose"), body
    assert body["requestId"] == failed["ResponseMetadata"]["RequestId"], body
    assert body["stackTrace"][-1].endswith('raise ValueError(event["fail"])\n'), body
    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    assert json.load(lambda_.invoke(FunctionName="fails", ClientContext=context)["Payload"])["client"] == {"a": "b"}
    assert lambda_.invoke(FunctionName="fails", InvocationType="DryRun")["StatusCode"] == 204
    assert lambda_.invoke(FunctionName="fails", InvocationType="Event")["StatusCode"] == 202


@check
def refusals():
    create("refuses")
    refused("ResourceConflictException", "Function already exist: refuses", create, name="refuses")
    invalid = refused("InvalidParameterValueException", "Could not unzip uploaded file", create, name="no-zip", Code={"ZipFile": b"no zip"})
    assert invalid["ResponseMetadata"]["HTTPStatusCode"] == 400 and invalid["Type"] == "User", invalid
    refused("ValidationException", "1 validation error detected: Value '9999' at 'timeout'", create, name="long", Timeout=9999)
    refused("InvalidRequestContentException", "Could not parse request body into json", lambda_.invoke, FunctionName="refuses", Payload=b"{no")
    refused("RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes", lambda_.invoke, FunctionName="refuses", Payload=b'"' + b"x" * 6291456 + b'"')
    refused("PreconditionFailedException", "The Revision Id provided does not match", lambda_.update_function_configuration, FunctionName="refuses", RevisionId="0" * 8)
    try:
        lambda_.get_function()
    except ParamValidationError as error:
        assert 'Missing required parameter in input: "FunctionName"' in str(error), error
    else:
        raise AssertionError("a call without its parameter was made")
    try:
        lambda_.get_waiter("function_active_v2").wait(FunctionName="nobody")
    except WaiterError as error:
        assert "Function not found" in str(error), error
    else:
        raise AssertionError("the waiter found nobody")
    stranger = client("lambda", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
    refused("UnrecognizedClientException", "The security token included in the request is invalid.", stranger.list_functions)


@check
def pages():
    for index in range(5):
        create(f"page-{index}")
    found = []
    for page in lambda_.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}):
        assert len(page["Functions"]) <= 2
        found += [one["FunctionName"] for one in page["Functions"]]
    assert [name for name in found if name.startswith("page-")] == [f"page-{index}" for index in range(5)], found
    assert len(found) == len(set(found)), found


@check
def presigned():
    url = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert b"arn:aws:iam::000000000000:root" in answer.read()
    listing = lambda_.generate_presigned_url("list_functions", ExpiresIn=60)
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
    refused("ResourceAlreadyExistsException", "The specified log group already exists", logs.create_log_group, logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="stream")
    now = int(time.time() * 1000)
    events = [{"timestamp": now + index, "message": f"event {index}"} for index in range(25)]
    logs.put_log_events(logGroupName=group, logStreamName="stream", logEvents=events)
    found = []
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 10}):
        found += [event["message"] for event in page["events"]]
    assert found == [event["message"] for event in events], found
    logs.delete_log_group(logGroupName=group)
    refused("ResourceNotFoundException", "The specified log group does not exist", logs.filter_log_events, logGroupName=group)


run()
