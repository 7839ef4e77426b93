"""Reads the lab's CloudWatch with boto3 in each protocol of its model, and prints what it read as JSON."""

import datetime
import json

import boto3

PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DIMENSIONS = [
    {"Name": "LoadBalancer", "Value": "app/lab-web/50dc6c495c0c9188"},
    {"Name": "TargetGroup", "Value": "targetgroup/lab-web/6d0ecf831eec9f09"},
]


def client(protocol):
    """Returns a client that knows no other protocol, as older and newer SDKs do."""
    session = boto3.Session()
    loader = session._session.get_component("data_loader")
    load = loader.load_service_model

    def only(service, kind, api_version=None):
        model = load(service, kind, api_version=api_version)
        if service == "cloudwatch" and kind == "service-2":
            metadata = {**model["metadata"], "protocol": protocol, "protocols": [protocol]}
            model = {**model, "metadata": metadata}
        return model

    loader.load_service_model = only
    made = session.client("cloudwatch")
    assert made.meta.service_model.resolved_protocol == protocol, made.meta.service_model.resolved_protocol
    return made


def millis(at):
    return (at - EPOCH) // datetime.timedelta(milliseconds=1)


def pages(made, operation, size, key, **asked):
    """Returns all items, read in pages of this size, and the number of pages."""
    found = list(made.get_paginator(operation).paginate(**asked, PaginationConfig={"PageSize": size}))
    return [item for page in found for item in page[key]], len(found)


def points(results):
    """Returns instants and values of each query, put together from its pages."""
    joined = {}
    for one in results:
        values = joined.setdefault(one["Id"], [])
        values += [[millis(at), value] for at, value in zip(one["Timestamps"], one["Values"], strict=True)]
    return joined


def read(protocol):
    made = client(protocol)
    alarms = made.describe_alarms()["MetricAlarms"]
    names = ("AlarmName", "Threshold", "Period", "EvaluationPeriods", "ActionsEnabled", "StateValue", "Namespace")
    history = made.describe_alarm_history(HistoryItemType="StateUpdate", ScanBy="TimestampAscending")
    fired = [
        [item["AlarmName"], millis(item["Timestamp"])]
        for item in history["AlarmHistoryItems"]
        if json.loads(item["HistoryData"])["newState"]["stateValue"] == "ALARM"
    ]
    metrics = {"requests": ("RequestCount", "Sum"), "latency": ("TargetResponseTime", "p95")}
    queries = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": DIMENSIONS},
                "Period": 1, "Stat": stat,
            },
        }
        for name, (metric, stat) in metrics.items()
    ]
    # What is read must not grow meanwhile.
    until = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)
    asked = {
        "MetricDataQueries": queries, "StartTime": EPOCH + datetime.timedelta(days=1), "EndTime": until,
        "ScanBy": "TimestampAscending",
    }
    whole = points(made.get_metric_data(**asked)["MetricDataResults"])
    paged, several = pages(made, "get_metric_data", 5, "MetricDataResults", **asked)
    one_by_one, count = pages(made, "describe_alarms", 1, "MetricAlarms")
    try:
        made.describe_alarms(NextToken="nonsense")
        refusal = None
    except made.exceptions.InvalidNextToken as error:
        refusal = error.response["Error"]["Code"]
    return {
        "alarms": [[alarm[name] for name in names] for alarm in alarms],
        "alarms_by_pages": [[alarm[name] for name in names] for alarm in one_by_one], "alarm_pages": count,
        "fired": fired, "points": whole, "points_by_pages": points(paged), "has_pages": several > 1,
        "refusal": refusal,
    }


print(json.dumps({protocol: read(protocol) for protocol in PROTOCOLS}))
