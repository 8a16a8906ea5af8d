"""CloudWatch as boto3 sees it: metrics, alarms, each documented error that can be brought about, paginators, the waiter."""

import datetime
import json

from boto3_checks import ACCOUNT, REGION, WAIT, all_refused, check, client, has, paged, refused, run

cloudwatch = client("cloudwatch")
NOW = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
RANGE = {"StartTime": NOW - datetime.timedelta(hours=1), "EndTime": NOW + datetime.timedelta(minutes=1)}
ALARM = {"MetricName": "Errors", "Namespace": "Birds", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 2, "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold"}


def put(name, *values, minutes_ago=1, **more):
    at = NOW - datetime.timedelta(minutes=minutes_ago)
    data = [{"MetricName": name, "Timestamp": at, "Value": value, **more} for value in values]
    cloudwatch.put_metric_data(Namespace="Birds", MetricData=data)


def stat(name, statistic, **more):
    return {"Id": "m1", "MetricStat": {"Metric": {"Namespace": "Birds", "MetricName": name}, "Period": 60, "Stat": statistic}, **more}


@check
def statistics():
    put("Eggs", 1.0, 2.0, 3.0, Unit="Count")
    cloudwatch.put_metric_data(Namespace="Birds", MetricData=[
        {"MetricName": "Eggs", "Timestamp": NOW - datetime.timedelta(minutes=2), "Values": [5.0, 7.0], "Counts": [1.0, 3.0], "Unit": "Count"},
        {"MetricName": "Eggs", "Timestamp": NOW - datetime.timedelta(minutes=3), "StatisticValues": {"SampleCount": 2, "Sum": 9, "Minimum": 4, "Maximum": 5}, "Unit": "Count"},
    ])
    asked = {"Namespace": "Birds", "MetricName": "Eggs", "Period": 60, **RANGE}
    answer = cloudwatch.get_metric_statistics(**asked, Statistics=["Sum", "SampleCount", "Minimum", "Maximum", "Average"], Unit="Count")
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    assert [point["Sum"] for point in points] == [9.0, 26.0, 6.0], points
    has(points[1], SampleCount=4.0, Minimum=5.0, Maximum=7.0, Average=6.5, Unit="Count", Timestamp=NOW - datetime.timedelta(minutes=2))
    p50 = cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p50"])["Datapoints"]
    assert all("p50" in point["ExtendedStatistics"] for point in p50 if "ExtendedStatistics" in point) and p50, p50
    all_refused([
        ("MissingRequiredParameterException", "Must specify either Statistics or ExtendedStatistics", cloudwatch.get_metric_statistics, asked),
        ("InvalidParameterValueException", "Period", cloudwatch.get_metric_statistics, {**asked, "Period": 7, "Statistics": ["Sum"]}),
        ("InvalidParameterValueException", "ExtendedStatistic", cloudwatch.get_metric_statistics, {**asked, "ExtendedStatistics": ["p101"]}),
        ("InvalidParameterCombinationException", "datapoints, which exceeds the limit of 1440", cloudwatch.get_metric_statistics, {**asked, "StartTime": NOW - datetime.timedelta(days=2), "Statistics": ["Sum"]}),
        ("InvalidParameterValueException", "The parameter StartTime must not equal parameter EndTime.", cloudwatch.get_metric_statistics, {**asked, "StartTime": NOW, "EndTime": NOW, "Statistics": ["Sum"]}),
        ("InvalidParameterValueException", "must be less than the parameter EndTime", cloudwatch.get_metric_statistics, {**asked, "EndTime": asked["StartTime"] - datetime.timedelta(hours=1), "Statistics": ["Sum"]}),
    ])


@check
def refused_data():
    datum = {"MetricName": "Bad"}

    def data(*data_, namespace="Birds"):
        return {"Namespace": namespace, "MetricData": list(data_)}

    old = NOW - datetime.timedelta(days=15)
    call = cloudwatch.put_metric_data
    all_refused([
        ("InvalidParameterValueException", "AWS/", call, data({**datum, "Value": 1}, namespace="AWS/Lambda")),
        ("InvalidParameterCombinationException", "mutually exclusive", call, data({**datum, "Value": 1, "Values": [1]})),
        ("MissingRequiredParameterException", "", call, data(datum)),
        ("MissingRequiredParameterException", "", call, {"Namespace": "Birds"}),
        ("InvalidParameterValueException", "Timestamp", call, data({**datum, "Value": 1, "Timestamp": old})),
        ("InvalidParameterValueException", "StorageResolution", call, data({**datum, "Value": 1, "StorageResolution": 5})),
        ("InvalidParameterValueException", "", call, data({**datum, "Value": float("nan")})),
        ("InvalidParameterValueException", "same size", call, data({**datum, "Values": [1, 2], "Counts": [1]})),
        ("InvalidParameterValueException", "1000", call, data(*[{**datum, "Value": 1}] * 1001)),
    ])


@check
def metric_data():
    for minutes in range(1, 6):
        put("Nests", float(minutes), minutes_ago=minutes)
    pages = cloudwatch.get_paginator("get_metric_data").paginate(MetricDataQueries=[stat("Nests", "Sum", Label="nests")], **RANGE, ScanBy="TimestampAscending", PaginationConfig={"PageSize": 2})
    found = [value for page in pages for result in page["MetricDataResults"] for value in result["Values"]]
    assert found == [5.0, 4.0, 3.0, 2.0, 1.0], found
    hidden = cloudwatch.get_metric_data(MetricDataQueries=[stat("Nests", "Sum", ReturnData=False)], **RANGE)
    assert hidden["MetricDataResults"] == [], hidden
    has(cloudwatch.get_metric_data(MetricDataQueries=[stat("Nests", "Maximum")], **RANGE)["MetricDataResults"][0], Id="m1", Label="Nests", StatusCode="Complete")
    call = cloudwatch.get_metric_data
    all_refused([
        ("ValidationError", "not unique", call, {"MetricDataQueries": [stat("Nests", "Sum")] * 2, **RANGE}),
        ("ValidationError", "is not matching the expected pattern", call, {"MetricDataQueries": [{**stat("Nests", "Sum"), "Id": "M"}], **RANGE}),
        ("ValidationError", "Stat is not supported", call, {"MetricDataQueries": [stat("Nests", "Most")], **RANGE}),
        ("ValidationError", "mutually exclusive", call, {"MetricDataQueries": [stat("Nests", "Sum", Expression="m2")], **RANGE}),
        ("ValidationError", "The parameter StartTime must not equal parameter EndTime.", call, {"MetricDataQueries": [stat("Nests", "Sum")], "StartTime": NOW, "EndTime": NOW}),
        ("InvalidNextToken", "", call, {"MetricDataQueries": [stat("Nests", "Sum")], **RANGE, "NextToken": "made up"}),
    ])


@check
def listed():
    for tree in ("oak", "ash"):
        put("Songs", 1.0, Dimensions=[{"Name": "Tree", "Value": tree}])
    found = cloudwatch.get_paginator("list_metrics").paginate(Namespace="Birds", MetricName="Songs").build_full_result()["Metrics"]
    assert sorted(one["Dimensions"][0]["Value"] for one in found) == ["ash", "oak"], found
    assert len(cloudwatch.list_metrics(Namespace="Birds", Dimensions=[{"Name": "Tree", "Value": "oak"}])["Metrics"]) == 1
    assert len(cloudwatch.list_metrics(Dimensions=[{"Name": "Tree"}], RecentlyActive="PT3H")["Metrics"]) == 2
    assert cloudwatch.list_metrics(Namespace="Nobody")["Metrics"] == []
    refused("InvalidParameterValueException", "NextToken", cloudwatch.list_metrics, NextToken="made up")


@check
def alarms():
    for index in range(3):
        cloudwatch.put_metric_alarm(AlarmName=f"page-{index}", AlarmDescription="d", **ALARM, Tags=[{"Key": "a", "Value": "b"}])
    cloudwatch.get_waiter("alarm_exists").wait(AlarmNames=["page-0"], WaiterConfig=WAIT)
    found = paged(cloudwatch, "describe_alarms", "MetricAlarms", 2, AlarmNamePrefix="page-")
    assert [one["AlarmName"] for one in found] == ["page-0", "page-1", "page-2"], found
    arn = found[0]["AlarmArn"]
    assert arn == f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:page-0", arn
    has(found[0], StateValue="INSUFFICIENT_DATA", ActionsEnabled=True, Threshold=1.0, AlarmDescription="d", AlarmActions=[], Dimensions=[])
    cloudwatch.disable_alarm_actions(AlarmNames=["page-0"])
    assert not cloudwatch.describe_alarms(AlarmNames=["page-0"])["MetricAlarms"][0]["ActionsEnabled"]
    cloudwatch.enable_alarm_actions(AlarmNames=["page-0"])
    cloudwatch.set_alarm_state(AlarmName="page-0", StateValue="ALARM", StateReason="by hand", StateReasonData=json.dumps({"who": "me"}))
    has(cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"][0], AlarmName="page-0", StateReason="by hand")
    history = paged(cloudwatch, "describe_alarm_history", "AlarmHistoryItems", 2, AlarmName="page-0")
    assert {"ConfigurationUpdate", "StateUpdate"} <= {one["HistoryItemType"] for one in history}, history
    assert all(one["HistoryItemType"] == "StateUpdate" for one in cloudwatch.describe_alarm_history(AlarmName="page-0", HistoryItemType="StateUpdate")["AlarmHistoryItems"])
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "c", "Value": "d"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "c", "Value": "d"}]
    gone = arn.replace("page-0", "gone")
    call = cloudwatch.put_metric_alarm
    named = {"AlarmName": "bad", **ALARM}
    all_refused([
        ("ResourceNotFound", "", cloudwatch.delete_alarms, {"AlarmNames": ["gone"]}),
        ("ResourceNotFound", "", cloudwatch.set_alarm_state, {"AlarmName": "gone", "StateValue": "OK", "StateReason": "r"}),
        ("InvalidFormatFault", "", cloudwatch.set_alarm_state, {"AlarmName": "page-0", "StateValue": "OK", "StateReason": "r", "StateReasonData": "{no json"}),
        ("ResourceNotFoundException", "", cloudwatch.list_tags_for_resource, {"ResourceARN": gone}),
        ("ResourceNotFoundException", "", cloudwatch.tag_resource, {"ResourceARN": gone, "Tags": [{"Key": "a", "Value": "b"}]}),
        ("ResourceNotFoundException", "", cloudwatch.untag_resource, {"ResourceARN": gone, "TagKeys": ["a"]}),
        ("InvalidNextToken", "", cloudwatch.describe_alarms, {"NextToken": "made up"}),
        ("InvalidNextToken", "", cloudwatch.describe_alarm_history, {"NextToken": "made up"}),
        ("ValidationError", "DatapointsToAlarm must be less than or equal to EvaluationPeriods", call, {**named, "DatapointsToAlarm": 3}),
        ("ValidationError", "Period", call, {**named, "Period": 7}),
        ("ValidationError", "across more than a day", call, {**named, "EvaluationPeriods": 1441}),
        ("ValidationError", "TreatMissingData", call, {**named, "TreatMissingData": "sometimes"}),
        ("ValidationError", "Statistic", call, {**named, "ExtendedStatistic": "p99"}),
    ])
    rule = 'ALARM("page-0") AND NOT ALARM("page-1")'
    cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule=rule)
    cloudwatch.get_waiter("composite_alarm_exists").wait(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"], WaiterConfig=WAIT)
    # Without AlarmTypes there are metric alarms only.
    assert cloudwatch.describe_alarms(AlarmNames=["both"])["CompositeAlarms"] == []
    composite = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])
    has(composite["CompositeAlarms"][0], AlarmName="both", AlarmRule=rule)
    assert composite["MetricAlarms"] == [], composite
    refused("ValidationError", "", cloudwatch.put_composite_alarm, AlarmName="odd", AlarmRule="ALARM(")
    cloudwatch.delete_alarms(AlarmNames=["both"])
    cloudwatch.delete_alarms(AlarmNames=["page-0", "page-1", "page-2"])
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


run()
