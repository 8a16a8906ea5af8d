"""CloudWatch Logs as boto3 sees it: groups, streams, events, tags, live tail, and each documented error that can be brought about."""

import time

from boto3_checks import ACCOUNT, REGION, all_refused, check, client, has, paged, refused, run

logs = client("logs")
GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
NO_GROUP = ("ResourceNotFoundException", "The specified log group does not exist.")
NO_STREAM = ("ResourceNotFoundException", "The specified log stream does not exist.")


def now_ms():
    return int(time.time() * 1000)


@check
def groups():
    for index in range(3):
        logs.create_log_group(logGroupName=f"/pages/{index}", tags={"a": "b"})
    found = paged(logs, "describe_log_groups", "logGroups", 2, logGroupNamePrefix="/pages/")
    assert [one["logGroupName"] for one in found] == ["/pages/0", "/pages/1", "/pages/2"], found
    has(found[0], arn=GROUP + "/pages/0:*", logGroupArn=GROUP + "/pages/0", metricFilterCount=0, logGroupClass="STANDARD", storedBytes=0)
    assert "retentionInDays" not in found[0], found[0]
    logs.put_retention_policy(logGroupName="/pages/0", retentionInDays=7)
    has(logs.describe_log_groups(logGroupNamePattern="ges/0")["logGroups"][0], retentionInDays=7)
    logs.delete_retention_policy(logGroupName="/pages/0")
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix="/pages/0")["logGroups"][0]
    listed = logs.list_log_groups(logGroupNamePattern="^/pages")["logGroups"]
    assert [one["logGroupArn"] for one in listed] == [GROUP + f"/pages/{index}" for index in range(3)], listed
    logs.put_log_group_deletion_protection(logGroupIdentifier="/pages/0", deletionProtectionEnabled=True)
    all_refused([
        ("ValidationException", "deletion protection", logs.delete_log_group, {"logGroupName": "/pages/0"}),
        ("ResourceAlreadyExistsException", "The specified log group already exists", logs.create_log_group, {"logGroupName": "/pages/0"}),
        ("InvalidParameterException", "1 validation error detected: Value 'no spaces' at 'logGroupName'", logs.create_log_group, {"logGroupName": "no spaces"}),
        ("InvalidParameterException", "1 validation error detected: Value '2' at 'retentionInDays'", logs.put_retention_policy, {"logGroupName": "/pages/0", "retentionInDays": 2}),
        ("InvalidParameterException", "mutually exclusive", logs.describe_log_groups, {"logGroupNamePrefix": "a", "logGroupNamePattern": "b"}),
        ("InvalidParameterException", "The specified nextToken is invalid.", logs.describe_log_groups, {"nextToken": "made up"}),
        (*NO_GROUP, logs.put_retention_policy, {"logGroupName": "gone", "retentionInDays": 7}),
        (*NO_GROUP, logs.delete_retention_policy, {"logGroupName": "gone"}),
        (*NO_GROUP, logs.delete_log_group, {"logGroupName": "gone"}),
        (*NO_GROUP, logs.put_log_group_deletion_protection, {"logGroupIdentifier": "gone", "deletionProtectionEnabled": True}),
    ])
    logs.put_log_group_deletion_protection(logGroupIdentifier="/pages/0", deletionProtectionEnabled=False)
    for index in range(3):
        logs.delete_log_group(logGroupName=f"/pages/{index}")
    assert paged(logs, "describe_log_groups", "logGroups", 50, logGroupNamePrefix="/pages/") == []


@check
def tags():
    logs.create_log_group(logGroupName="/tags", tags={"a": "b"})
    arn = GROUP + "/tags"
    logs.tag_resource(resourceArn=arn, tags={"c": "d"})
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"c": "d"}
    logs.tag_log_group(logGroupName="/tags", tags={"e": "f"})
    logs.untag_log_group(logGroupName="/tags", tags=["c"])
    assert logs.list_tags_log_group(logGroupName="/tags")["tags"] == {"e": "f"}
    all_refused([
        ("TooManyTagsException", "A resource can have no more than 50 tags.", logs.tag_resource, {"resourceArn": arn, "tags": {f"k{index}": "" for index in range(50)}}),
        (*NO_GROUP, logs.list_tags_for_resource, {"resourceArn": arn + "/gone"}),
        (*NO_GROUP, logs.tag_resource, {"resourceArn": arn + "/gone", "tags": {"a": "b"}}),
        (*NO_GROUP, logs.untag_resource, {"resourceArn": arn + "/gone", "tagKeys": ["a"]}),
        (*NO_GROUP, logs.tag_log_group, {"logGroupName": "gone", "tags": {"a": "b"}}),
        (*NO_GROUP, logs.untag_log_group, {"logGroupName": "gone", "tags": ["a"]}),
        (*NO_GROUP, logs.list_tags_log_group, {"logGroupName": "gone"}),
    ])


@check
def streams():
    group = {"logGroupName": "/streams"}
    logs.create_log_group(**group)
    for name in ("c", "a", "b"):
        logs.create_log_stream(**group, logStreamName=name)
    assert [one["logStreamName"] for one in paged(logs, "describe_log_streams", "logStreams", 2, **group)] == ["a", "b", "c"]
    logs.put_log_events(**group, logStreamName="b", logEvents=[{"timestamp": now_ms(), "message": "m"}])
    latest = logs.describe_log_streams(logGroupIdentifier=GROUP + "/streams", orderBy="LastEventTime", descending=True)["logStreams"][0]
    has(latest, logStreamName="b", arn=GROUP + "/streams:log-stream:b", storedBytes=0)
    assert latest["firstEventTimestamp"] == latest["lastEventTimestamp"], latest
    logs.delete_log_stream(**group, logStreamName="c")
    all_refused([
        ("ResourceAlreadyExistsException", "The specified log stream already exists", logs.create_log_stream, {**group, "logStreamName": "a"}),
        ("InvalidParameterException", "", logs.create_log_stream, {**group, "logStreamName": "a:b"}),
        ("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.", logs.describe_log_streams, {**group, "orderBy": "LastEventTime", "logStreamNamePrefix": "a"}),
        (*NO_STREAM, logs.delete_log_stream, {**group, "logStreamName": "gone"}),
        (*NO_GROUP, logs.create_log_stream, {"logGroupName": "gone", "logStreamName": "a"}),
        (*NO_GROUP, logs.describe_log_streams, {"logGroupName": "gone"}),
        ("ValidationException", "mutually exclusive", logs.describe_log_streams, {**group, "logGroupIdentifier": "/streams"}),
    ])


@check
def events():
    place = {"logGroupName": "/events", "logStreamName": "s"}
    logs.create_log_group(logGroupName="/events")
    logs.create_log_stream(**place)
    start = now_ms()
    answer = logs.put_log_events(**place, logEvents=[{"timestamp": start + index, "message": f'{{"n": {index}}}'} for index in range(7)])
    assert "rejectedLogEventsInfo" not in answer and answer["nextSequenceToken"], answer
    read, token = [], None
    while True:  # GetLogEvents has no paginator: its end is the token that was sent.
        page = logs.get_log_events(**place, startFromHead=True, limit=3, **({"nextToken": token} if token else {}))
        read += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert read == [f'{{"n": {index}}}' for index in range(7)], read
    last = logs.get_log_events(**place, limit=2)
    assert [event["timestamp"] - start for event in last["events"]] == [5, 6], last
    found = paged(logs, "filter_log_events", "events", 2, logGroupName="/events", filterPattern="{ $.n > 3 }")
    assert [event["timestamp"] - start for event in found] == [4, 5, 6], found
    has(found[0], logStreamName="s", message='{"n": 4}')
    rejected = logs.put_log_events(**place, logEvents=[{"timestamp": start - 15 * 86_400_000, "message": "old"}])
    assert rejected["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}, rejected
    rejected = logs.put_log_events(**place, logEvents=[{"timestamp": start + 3 * 3_600_000, "message": "new"}])
    assert rejected["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}, rejected
    put = logs.put_log_events
    all_refused([
        ("InvalidParameterException", "chronological order", put, {**place, "logEvents": [{"timestamp": start, "message": "b"}, {"timestamp": start - 1, "message": "a"}]}),
        ("InvalidParameterException", "cannot span more than 24 hours", put, {**place, "logEvents": [{"timestamp": start - 86_400_001, "message": "a"}, {"timestamp": start, "message": "b"}]}),
        ("InvalidParameterException", "Log event too large", put, {**place, "logEvents": [{"timestamp": start, "message": "x" * 1_048_577}]}),
        (*NO_STREAM, put, {**place, "logStreamName": "gone", "logEvents": [{"timestamp": start, "message": "m"}]}),
        (*NO_GROUP, put, {**place, "logGroupName": "gone", "logEvents": [{"timestamp": start, "message": "m"}]}),
        (*NO_STREAM, logs.get_log_events, {**place, "logStreamName": "gone"}),
        (*NO_GROUP, logs.get_log_events, {**place, "logGroupName": "gone"}),
        ("InvalidParameterException", "The specified nextToken is invalid.", logs.get_log_events, {**place, "nextToken": "made up"}),
        (*NO_GROUP, logs.filter_log_events, {"logGroupName": "gone"}),
        (*NO_STREAM, logs.filter_log_events, {"logGroupName": "/events", "logStreamNames": ["gone"]}),
        ("InvalidParameterException", "Invalid filter pattern", logs.filter_log_events, {"logGroupName": "/events", "filterPattern": "{ $.n > "}),
        ("InvalidParameterException", "mutually exclusive", logs.filter_log_events, {"logGroupName": "/events", "logStreamNames": ["s"], "logStreamNamePrefix": "s"}),
    ])


@check
def live_tail():
    """boto3 sends it to `streaming-` and the endpoint's host unless told otherwise."""
    direct = client("logs", inject_host_prefix=False)
    place = {"logGroupName": "/tail", "logStreamName": "s"}
    logs.create_log_group(logGroupName="/tail")
    logs.create_log_stream(**place)
    stream = direct.start_live_tail(logGroupIdentifiers=[GROUP + "/tail"])["responseStream"]
    for event in stream:
        if "sessionStart" in event:
            has(event["sessionStart"], logGroupIdentifiers=[GROUP + "/tail"])
            logs.put_log_events(**place, logEvents=[{"timestamp": now_ms(), "message": "heard"}])
        elif event["sessionUpdate"]["sessionResults"]:
            has(event["sessionUpdate"]["sessionResults"][0], message="heard", logStreamName="s")
            break
    stream.close()
    refused(*NO_GROUP, direct.start_live_tail, logGroupIdentifiers=[GROUP + "/gone"])


run()
