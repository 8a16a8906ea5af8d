"""Lambda's control plane as boto3 sees it: what boto3_client.py leaves out, each documented error that can be brought about."""

import base64
import datetime
import io
import json
import sys
import zipfile

from boto3_checks import ACCOUNT, REGION, WAIT, all_refused, check, client, has, paged, refused, run
from boto3_functions import ARN, SOURCE, active, create, lambda_, package, updated

LAYER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"
GONE = ("ResourceNotFoundException", "Function not found: " + ARN + "gone")
NOT_THERE = ("ResourceNotFoundException", "The resource you requested does not exist.")


def ready(name, **settings):
    create(name, **settings)
    active(name)
    return {"FunctionName": name}


@check
def versions_and_aliases():
    # The older waiters ask GetFunctionConfiguration, the newer ones (boto3_client.py) GetFunction.
    who = {"FunctionName": create("versions")["FunctionName"]}
    lambda_.get_waiter("function_exists").wait(**who, WaiterConfig=WAIT)
    lambda_.get_waiter("function_active").wait(**who, WaiterConfig=WAIT)
    for description in ("one", "two"):
        lambda_.update_function_configuration(**who, Description=description)
        lambda_.get_waiter("function_updated").wait(**who, WaiterConfig=WAIT)
        version = lambda_.publish_version(**who)["Version"]
        lambda_.get_waiter("published_version_active").wait(**who, Qualifier=version, WaiterConfig=WAIT)
    found = paged(lambda_, "list_versions_by_function", "Versions", 1, **who)
    assert [(one["Version"], one["Description"]) for one in found] == [("$LATEST", "two"), ("1", "one"), ("2", "two")], found
    has(lambda_.get_function_configuration(**who, Qualifier="1"), Description="one", FunctionArn=ARN + "versions:1")
    made = lambda_.create_alias(**who, Name="live", FunctionVersion="1", Description="d")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201, made
    weights = {"AdditionalVersionWeights": {"2": 0.25}}
    has(lambda_.update_alias(**who, Name="live", RoutingConfig=weights, RevisionId=made["RevisionId"]), RoutingConfig=weights)
    has(lambda_.get_alias(**who, Name="live"), FunctionVersion="1", AliasArn=ARN + "versions:live")
    lambda_.create_alias(**who, Name="next", FunctionVersion="2")
    assert [one["Name"] for one in paged(lambda_, "list_aliases", "Aliases", 1, **who)] == ["live", "next"]
    assert [one["Name"] for one in lambda_.list_aliases(**who, FunctionVersion="1")["Aliases"]] == ["live"]
    all_refused([
        ("ResourceConflictException", "Alias already exists: " + ARN + "versions:live", lambda_.create_alias, {**who, "Name": "live", "FunctionVersion": "1"}),
        ("ResourceNotFoundException", "Function not found: " + ARN + "versions:9", lambda_.create_alias, {**who, "Name": "x", "FunctionVersion": "9"}),
        ("ValidationException", "at 'name'", lambda_.create_alias, {**who, "Name": "1", "FunctionVersion": "1"}),
        ("ResourceNotFoundException", "Cannot find alias arn: " + ARN + "versions:x", lambda_.get_alias, {**who, "Name": "x"}),
        ("ResourceNotFoundException", "Cannot find alias arn: " + ARN + "versions:x", lambda_.update_alias, {**who, "Name": "x"}),
        ("PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id.", lambda_.update_alias, {**who, "Name": "live", "RevisionId": "other"}),
        ("ResourceConflictException", "Unable to delete version because the following aliases reference it: [live]", lambda_.delete_function, {**who, "Qualifier": "1"}),
        (*GONE, lambda_.list_aliases, {"FunctionName": "gone"}),
        (*GONE, lambda_.list_versions_by_function, {"FunctionName": "gone"}),
        (*GONE, lambda_.publish_version, {"FunctionName": "gone"}),
        (*GONE, lambda_.get_function_configuration, {"FunctionName": "gone"}),
        (*GONE, lambda_.update_function_code, {"FunctionName": "gone", "ZipFile": package()}),
        (*GONE, lambda_.delete_function, {"FunctionName": "gone"}),
    ])
    lambda_.delete_alias(**who, Name="live")
    assert lambda_.delete_alias(**who, Name="live")["ResponseMetadata"]["HTTPStatusCode"] == 204


@check
def layers():
    def publish(name, text="x"):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("file.txt", text)
        return lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": data.getvalue()}, CompatibleRuntimes=[sys.argv[1]], Description="d", LicenseInfo="MIT")

    made = publish("texts")
    has(made, LayerArn=LAYER + "texts", LayerVersionArn=LAYER + "texts:1", Version=1, LicenseInfo="MIT", CompatibleRuntimes=[sys.argv[1]])
    assert publish("texts", "y")["Version"] == 2 and publish("other")["Version"] == 1
    assert [one["Version"] for one in paged(lambda_, "list_layer_versions", "LayerVersions", 1, LayerName="texts")] == [2, 1]
    assert [one["LayerName"] for one in paged(lambda_, "list_layers", "Layers", 1, CompatibleRuntime=sys.argv[1])] == ["other", "texts"]
    version = {"LayerName": "texts", "VersionNumber": 1}
    assert lambda_.get_layer_version(**version)["Content"]["CodeSha256"] == made["Content"]["CodeSha256"]
    has(lambda_.get_layer_version_by_arn(Arn=LAYER + "texts:1"), Version=1, Description="d")
    statement = {"StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    added = lambda_.add_layer_version_permission(**version, **statement)
    shown = lambda_.get_layer_version_policy(**version)
    assert json.loads(shown["Policy"])["Statement"] == [json.loads(added["Statement"])], shown
    all_refused([
        ("ResourceConflictException", "The statement id (all) provided already exists.", lambda_.add_layer_version_permission, {**version, **statement}),
        ("PreconditionFailedException", "", lambda_.add_layer_version_permission, {**version, **statement, "StatementId": "b", "RevisionId": "other"}),
        (*NOT_THERE, lambda_.get_layer_version, {**version, "VersionNumber": 9}),
        ("ResourceNotFoundException", "", lambda_.get_layer_version_by_arn, {"Arn": LAYER + "gone:1"}),
        ("ResourceNotFoundException", "", lambda_.get_layer_version_policy, {**version, "VersionNumber": 2}),
        ("ResourceNotFoundException", "", lambda_.add_layer_version_permission, {**version, **statement, "VersionNumber": 9}),
        ("ResourceNotFoundException", "", lambda_.remove_layer_version_permission, {**version, "StatementId": "gone"}),
        ("InvalidParameterValueException", "Could not unzip uploaded file", lambda_.publish_layer_version, {"LayerName": "bad", "Content": {"ZipFile": b"no zip"}}),
    ])
    lambda_.remove_layer_version_permission(**version, StatementId="all")
    lambda_.delete_layer_version(**version)
    assert lambda_.delete_layer_version(**version)["ResponseMetadata"]["HTTPStatusCode"] == 204


@check
def permissions():
    who = ready("permits")
    statement = {"StatementId": "bucket", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": ACCOUNT}
    added = json.loads(lambda_.add_permission(**who, **statement)["Statement"])
    has(added, Sid="bucket", Principal={"Service": "s3.amazonaws.com"}, Condition={"StringEquals": {"AWS:SourceAccount": ACCOUNT}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}})
    shown = lambda_.get_policy(**who)
    assert json.loads(shown["Policy"])["Statement"] == [added], shown
    all_refused([
        ("ResourceConflictException", "The statement id (bucket) provided already exists.", lambda_.add_permission, {**who, **statement}),
        ("PreconditionFailedException", "", lambda_.add_permission, {**who, **statement, "StatementId": "b", "RevisionId": "other"}),
        (*GONE, lambda_.add_permission, {"FunctionName": "gone", **statement}),
        ("ResourceNotFoundException", "", lambda_.get_policy, {"FunctionName": "gone"}),
        ("PreconditionFailedException", "", lambda_.remove_permission, {**who, "StatementId": "bucket", "RevisionId": "other"}),
        ("ResourceNotFoundException", "", lambda_.remove_permission, {**who, "StatementId": "gone"}),
    ])
    lambda_.remove_permission(**who, StatementId="bucket", RevisionId=shown["RevisionId"])
    refused("ResourceNotFoundException", "The resource you requested does not exist.", lambda_.get_policy, **who)


@check
def event_source_mappings():
    who = ready("mapped")
    made = lambda_.create_event_source_mapping(**who, EventSourceArn=QUEUE, BatchSize=7, Tags={"a": "b"})
    has(made, State="Creating", BatchSize=7, FunctionArn=ARN + "mapped", EventSourceArn=QUEUE)
    mapping = {"UUID": made["UUID"]}
    assert isinstance(lambda_.get_event_source_mapping(**mapping)["LastModified"], datetime.datetime)
    has(lambda_.update_event_source_mapping(**mapping, BatchSize=8), BatchSize=8)
    lambda_.create_event_source_mapping(**who, EventSourceArn=QUEUE + "2")
    found = paged(lambda_, "list_event_source_mappings", "EventSourceMappings", 1, **who)
    assert sorted(one["EventSourceArn"] for one in found) == [QUEUE, QUEUE + "2"], found
    assert lambda_.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"a": "b"}
    other = {"UUID": "00000000-0000-0000-0000-000000000000"}
    call = lambda_.create_event_source_mapping
    all_refused([
        ("ResourceConflictException", "An event source mapping with", call, {**who, "EventSourceArn": QUEUE}),
        ("ResourceNotFoundException", "Function not found: " + ARN + "gone", call, {"FunctionName": "gone", "EventSourceArn": QUEUE}),
        ("InvalidParameterValueException", "", call, {**who, "EventSourceArn": QUEUE + "3", "BatchSize": 100}),
        ("InvalidParameterValueException", "", call, {**who, "EventSourceArn": "arn:aws:s3:::bucket"}),
        (*NOT_THERE, lambda_.get_event_source_mapping, other),
        (*NOT_THERE, lambda_.update_event_source_mapping, other),
        (*NOT_THERE, lambda_.delete_event_source_mapping, other),
    ])
    has(lambda_.delete_event_source_mapping(**mapping), State="Deleting")


@check
def asynchronous_settings():
    who = ready("later")
    put = lambda_.put_function_event_invoke_config(**who, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=60)
    assert isinstance(put["LastModified"], datetime.datetime), put
    has(lambda_.update_function_event_invoke_config(**who, MaximumRetryAttempts=0), MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60)
    has(lambda_.get_function_event_invoke_config(**who), MaximumRetryAttempts=0, FunctionArn=ARN + "later:$LATEST")
    assert len(paged(lambda_, "list_function_event_invoke_configs", "FunctionEventInvokeConfigs", 1, **who)) == 1
    has(lambda_.put_function_recursion_config(**who, RecursiveLoop="Allow"), RecursiveLoop="Allow")
    has(lambda_.get_function_recursion_config(**who), RecursiveLoop="Allow")
    has(lambda_.put_runtime_management_config(**who, UpdateRuntimeOn="FunctionUpdate"), UpdateRuntimeOn="FunctionUpdate")
    has(lambda_.get_runtime_management_config(**who), UpdateRuntimeOn="FunctionUpdate")
    assert "CodeSigningConfigArn" not in lambda_.get_function_code_signing_config(**who)
    assert lambda_.invoke_async(**who, InvokeArgs=b"{}")["Status"] == 202
    lambda_.delete_function_event_invoke_config(**who)
    all_refused([
        ("ResourceNotFoundException", "doesn't have an EventInvokeConfig", lambda_.get_function_event_invoke_config, who),
        ("ResourceNotFoundException", "doesn't have an EventInvokeConfig", lambda_.delete_function_event_invoke_config, who),
        ("ResourceNotFoundException", "", lambda_.put_function_event_invoke_config, {"FunctionName": "gone", "MaximumRetryAttempts": 1}),
        ("InvalidParameterValueException", "", lambda_.put_function_event_invoke_config, who),
        (*GONE, lambda_.get_function_recursion_config, {"FunctionName": "gone"}),
        (*GONE, lambda_.put_function_recursion_config, {"FunctionName": "gone", "RecursiveLoop": "Allow"}),
        (*GONE, lambda_.get_runtime_management_config, {"FunctionName": "gone"}),
        (*GONE, lambda_.get_function_code_signing_config, {"FunctionName": "gone"}),
        ("InvalidParameterValueException", "", lambda_.put_runtime_management_config, {**who, "UpdateRuntimeOn": "Manual"}),
        ("InvalidRequestContentException", "", lambda_.invoke_async, {**who, "InvokeArgs": b"{no"}),
    ])


@check
def code_signing():
    who = ready("unsigned")
    profile = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/p/0123456789"
    made = lambda_.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [profile]}, Description="d")["CodeSigningConfig"]
    config = {"CodeSigningConfigArn": made["CodeSigningConfigArn"]}
    has(made, Description="d", CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"})
    changed = lambda_.update_code_signing_config(**config, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"})["CodeSigningConfig"]
    assert lambda_.get_code_signing_config(**config)["CodeSigningConfig"] == changed
    assert [one["CodeSigningConfigArn"] for one in paged(lambda_, "list_code_signing_configs", "CodeSigningConfigs", 1)] == [config["CodeSigningConfigArn"]]
    has(lambda_.put_function_code_signing_config(**who, **config), FunctionName="unsigned", **config)
    has(lambda_.get_function_code_signing_config(**who), **config)
    assert paged(lambda_, "list_functions_by_code_signing_config", "FunctionArns", 1, **config) == [ARN + "unsigned"]
    gone = {"CodeSigningConfigArn": config["CodeSigningConfigArn"][:-17] + "0" * 17}
    all_refused([
        ("CodeVerificationFailedException", "", lambda_.update_function_code, {**who, "ZipFile": package(SOURCE + "#")}),
        ("ResourceConflictException", "", lambda_.delete_code_signing_config, config),
        ("ResourceNotFoundException", "", lambda_.get_code_signing_config, gone),
        ("ResourceNotFoundException", "", lambda_.update_code_signing_config, gone),
        ("ResourceNotFoundException", "", lambda_.delete_code_signing_config, gone),
        ("ResourceNotFoundException", "", lambda_.list_functions_by_code_signing_config, gone),
        ("CodeSigningConfigNotFoundException", "", lambda_.put_function_code_signing_config, {**who, **gone}),
        (*GONE, lambda_.put_function_code_signing_config, {"FunctionName": "gone", **config}),
        (*GONE, lambda_.delete_function_code_signing_config, {"FunctionName": "gone"}),
    ])
    lambda_.delete_function_code_signing_config(**who)
    lambda_.delete_code_signing_config(**config)


@check
def concurrency():
    who = ready("held")
    has(lambda_.put_function_concurrency(**who, ReservedConcurrentExecutions=0), ReservedConcurrentExecutions=0)
    has(lambda_.get_function_concurrency(**who), ReservedConcurrentExecutions=0)
    throttled = refused("TooManyRequestsException", "Rate Exceeded.", lambda_.invoke, **who)
    has(throttled, Reason="ReservedFunctionConcurrentInvocationLimitExceeded")
    assert lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 1000
    lambda_.delete_function_concurrency(**who)
    version = lambda_.publish_version(**who)["Version"]
    lambda_.get_waiter("published_version_active").wait(**who, Qualifier=version, WaiterConfig=WAIT)
    one = {**who, "Qualifier": version}
    put = lambda_.put_provisioned_concurrency_config(**one, ProvisionedConcurrentExecutions=1)
    has(put, Status="IN_PROGRESS", RequestedProvisionedConcurrentExecutions=1)
    found = paged(lambda_, "list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", 1, **who)
    assert [each["FunctionArn"] for each in found] == [ARN + "held:1"], found
    has(lambda_.get_provisioned_concurrency_config(**one), RequestedProvisionedConcurrentExecutions=1)
    lambda_.delete_provisioned_concurrency_config(**one)
    all_refused([
        ("ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function", lambda_.get_provisioned_concurrency_config, one),
        ("InvalidParameterValueException", "", lambda_.put_provisioned_concurrency_config, {**who, "Qualifier": "$LATEST", "ProvisionedConcurrentExecutions": 1}),
        ("ResourceNotFoundException", "", lambda_.put_provisioned_concurrency_config, {**who, "Qualifier": "9", "ProvisionedConcurrentExecutions": 1}),
        ("InvalidParameterValueException", "below its minimum value of [100]", lambda_.put_function_concurrency, {**who, "ReservedConcurrentExecutions": 901}),
        (*GONE, lambda_.put_function_concurrency, {"FunctionName": "gone", "ReservedConcurrentExecutions": 1}),
        (*GONE, lambda_.get_function_concurrency, {"FunctionName": "gone"}),
        (*GONE, lambda_.delete_function_concurrency, {"FunctionName": "gone"}),
    ])


@check
def function_urls():
    who = ready("url")
    made = lambda_.create_function_url_config(**who, AuthType="AWS_IAM", Cors={"AllowOrigins": ["*"]})
    has(made, AuthType="AWS_IAM", FunctionArn=ARN + "url", InvokeMode="BUFFERED")
    has(lambda_.update_function_url_config(**who, InvokeMode="RESPONSE_STREAM"), InvokeMode="RESPONSE_STREAM", FunctionUrl=made["FunctionUrl"])
    assert paged(lambda_, "list_function_url_configs", "FunctionUrlConfigs", 1, **who)[0]["FunctionUrl"] == lambda_.get_function_url_config(**who)["FunctionUrl"]
    refused("ResourceConflictException", "FunctionUrlConfig exists for this Lambda function", lambda_.create_function_url_config, **who, AuthType="NONE")
    lambda_.delete_function_url_config(**who)
    all_refused([
        (*NOT_THERE, lambda_.get_function_url_config, who),
        (*NOT_THERE, lambda_.update_function_url_config, {**who, "AuthType": "NONE"}),
        (*NOT_THERE, lambda_.delete_function_url_config, who),
        ("ResourceNotFoundException", "", lambda_.create_function_url_config, {"FunctionName": "gone", "AuthType": "NONE"}),
    ])


@check
def tags():
    who = ready("tagged", Tags={"a": "b"})
    arn = {"Resource": ARN + who["FunctionName"]}
    lambda_.tag_resource(**arn, Tags={"c": "d"})
    lambda_.untag_resource(**arn, TagKeys=["a"])
    assert lambda_.list_tags(**arn)["Tags"] == {"c": "d"}
    gone = {"Resource": ARN + "gone"}
    all_refused([
        ("ResourceNotFoundException", "", lambda_.list_tags, gone),
        ("ResourceNotFoundException", "", lambda_.tag_resource, {**gone, "Tags": {"a": "b"}}),
        ("ResourceNotFoundException", "", lambda_.untag_resource, {**gone, "TagKeys": ["a"]}),
        ("InvalidParameterValueException", "aws:", lambda_.tag_resource, {**arn, "Tags": {"aws:a": "b"}}),
        ("InvalidParameterValueException", "", lambda_.tag_resource, {**arn, "Tags": {f"k{index}": "" for index in range(51)}}),
    ])


@check
def response_stream():
    who = ready("streams")
    answer = lambda_.invoke_with_response_stream(**who, Payload=b'{"name": "hornero"}', LogType="Tail")
    chunks, end = b"", None
    for event in answer["EventStream"]:
        chunks += event.get("PayloadChunk", {}).get("Payload", b"")
        end = event.get("InvokeComplete", end)
    assert json.loads(chunks) == {"hello": "hornero", "client": None}, chunks
    assert "seen hornero" in base64.b64decode(end["LogResult"]).decode() and "ErrorCode" not in end, end
    failed = list(lambda_.invoke_with_response_stream(**who, Payload=b'{"fail": "on purpose"}')["EventStream"])[-1]["InvokeComplete"]
    assert failed["ErrorCode"] == "Unhandled" and "on purpose" in failed["ErrorDetails"], failed
    refused(*GONE, lambda_.invoke_with_response_stream, FunctionName="gone")


@check
def code_in_place():
    who = ready("codes")
    before = lambda_.get_function_configuration(**who)
    dry = lambda_.update_function_code(**who, ZipFile=package(SOURCE + "#"), DryRun=True)
    assert dry["CodeSha256"] != before["CodeSha256"] == lambda_.get_function_configuration(**who)["CodeSha256"], dry
    published = lambda_.update_function_code(**who, ZipFile=package(SOURCE + "#"), Publish=True)
    has(published, Version="1")
    updated("codes")
    all_refused([
        ("PreconditionFailedException", "", lambda_.update_function_code, {**who, "ZipFile": package(), "RevisionId": "other"}),
        ("InvalidParameterValueException", "", lambda_.update_function_code, who),
        ("InvalidParameterValueException", "", lambda_.publish_version, {**who, "CodeSha256": "other"}),
        ("InvalidParameterValueException", "S3", lambda_.update_function_code, {**who, "S3Bucket": "nobody", "S3Key": "k"}),
        ("InvalidParameterValueException", "", lambda_.update_function_configuration, {**who, "Runtime": "nodejs0.0"}),
        ("InvalidParameterValueException", "Layer version", lambda_.update_function_configuration, {**who, "Layers": [LAYER + "gone:1"]}),
        ("CodeSigningConfigNotFoundException", "", create, {"name": "signed", "CodeSigningConfigArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:csc-0123456789abcdef0"}),
        ("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.", create, {"name": "roleless", "Role": f"arn:aws:iam::{ACCOUNT}:role/none"}),
    ])


run()
