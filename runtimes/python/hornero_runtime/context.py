"""The context object that a handler gets beside its event."""

import binascii
import json
import os
import time

from .errors import RuntimeFault


class _Members:
    """An object with the members of __slots__, taken from a dict; what the dict lacks is None."""

    __slots__ = ()

    def __init__(self, members):
        for name in self.__slots__:
            setattr(self, name, members.get(name))

    def __repr__(self):
        members = ",".join("%s=%s" % (name, getattr(self, name)) for name in self.__slots__)
        return "%s([%s])" % (type(self).__name__, members)


class CognitoIdentity(_Members):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Members):
    __slots__ = (
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(_Members):
    __slots__ = ("custom", "env", "client")


class LambdaContext:
    def __init__(self, head, log):
        environ = os.environ
        self.aws_request_id = head["requestId"]
        self.invoked_function_arn = head.get("invokedFunctionArn")
        self.tenant_id = head.get("tenantId")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.client_context = _client_context(head.get("clientContext"))
        self.identity = _identity(head.get("cognitoIdentity"))
        self._deadline_ms = head["deadlineMs"]
        self._log = log

    def get_remaining_time_in_millis(self):
        return max(0, int(self._deadline_ms - time.time() * 1000))

    def log(self, message):
        self._log(str(message))

    def __repr__(self):
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return "LambdaContext([%s])" % ",".join("%s=%s" % (name, getattr(self, name)) for name in names)


def _client_context(value):
    members = _parse(value, "Client Context")
    if members is None:
        return None
    context = ClientContext(members)
    if context.client is not None:
        context.client = Client(context.client)
    return context


def _identity(value):
    members = _parse(value, "Cognito Identity") or {}
    return CognitoIdentity(
        {
            "cognito_identity_id": members.get("cognitoIdentityId"),
            "cognito_identity_pool_id": members.get("cognitoIdentityPoolId"),
        }
    )


def _parse(value, name):
    """A dict, or its JSON, or its JSON in base64 as the caller of Invoke sent it."""
    if not isinstance(value, str):
        return value
    if value == "":
        return None
    try:
        return json.loads(value if value.startswith("{") else binascii.a2b_base64(value))
    except ValueError as error:
        raise RuntimeFault("LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error)) from None
