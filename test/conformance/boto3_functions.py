"""Functions for the scripts beside: how they are packed, created and waited for. The runtime is the script's argument."""

import io
import sys
import zipfile

from boto3_checks import ACCOUNT, REGION, WAIT, client

ROLE = f"arn:aws:iam::{ACCOUNT}:role/lambda"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
SOURCE = """
def handler(event, context):
    print("seen", event.get("name"))
    if event.get("fail"):
        raise ValueError(event["fail"])
    return {"hello": event.get("name"), "client": context.client_context and context.client_context.custom}
"""
lambda_ = client("lambda")


def package(source=SOURCE):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py", source)
    return data.getvalue()


def create(name, **settings):
    defaults = {"Role": ROLE, "Runtime": sys.argv[1], "Handler": "index.handler", "Code": {"ZipFile": package()}}
    return lambda_.create_function(**{"FunctionName": name, **defaults, **settings})


def active(name):
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=WAIT)


def updated(name):
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
