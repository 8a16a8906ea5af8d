"""What the scripts boto3_*.py share: clients of the server that the environment names, checks, and their outcome.

A script prints one JSON object: the name of each check that failed and why; {} is success.
"""

import json
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"
REGION = "us-east-1"
WAIT = {"Delay": 0.1, "MaxAttempts": 600}
checks = {}


def client(service, inject_host_prefix=True, **credentials):
    """A client that tries once, as the root unless told otherwise."""
    config = Config(retries={"total_max_attempts": 1}, inject_host_prefix=inject_host_prefix)
    return boto3.client(service, config=config, **credentials)


def session(service, given):
    """A client with the Credentials of an STS answer."""
    return client(
        service,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def check(function):
    checks[function.__name__] = function
    return function


def refused(expected, message, call, **arguments):
    """Asserts that a call ends in the modelled exception class (or, where the API models none, the code). Answers the response."""
    try:
        call(**arguments)
    except ClientError as error:
        told = error.response["Error"]
        name = type(error).__name__
        found = told["Code"] if name == "ClientError" else name
        assert found == expected and message in told["Message"], (found, told, arguments)
        return error.response
    raise AssertionError(f"{call.__name__} was not refused: {arguments}")


def all_refused(table):
    """One `refused` for each row: what is expected, part of the message, the call, its arguments. Tells all rows that fail."""
    failed = []
    for expected, message, call, arguments in table:
        try:
            refused(expected, message, call, **arguments)
        except AssertionError as error:
            failed.append(f"expected {expected} {message!r}: {error}")
    assert not failed, "\n".join(failed)


def paged(client_, operation, key, size, **arguments):
    """Everything that a paginator finds, asserting that no page is larger than `size`."""
    found = []
    for page in client_.get_paginator(operation).paginate(**arguments, PaginationConfig={"PageSize": size}):
        assert len(page[key]) <= size, page
        found += page[key]
    return found


def has(shape, **members):
    """Asserts members of an answer."""
    for name, value in members.items():
        assert shape.get(name) == value, (name, shape.get(name), value)


def run():
    failed = {}
    for name, function in checks.items():
        try:
            function()
        except Exception:
            failed[name] = traceback.format_exc()
    print(json.dumps(failed))
