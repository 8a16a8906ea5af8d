"""Logging as Lambda sets it up: a handler on the root logger, in text or JSON; and the log lines of errors."""

import logging
import os
import time
import traceback

from .marshal import to_json

_LEVELS = {
    logging.DEBUG: 2,
    logging.INFO: 3,
    logging.WARNING: 4,
    logging.ERROR: 5,
    logging.CRITICAL: 6,
}
_TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
# Members of every LogRecord; what else a record has came from the caller's `extra`.
_RECORD_MEMBERS = set(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "aws_request_id",
    "tenant_id",
    "taskName",
}
# Log viewers trim leading spaces; Lambda indents stack traces with no-break spaces.
_INDENT = "\u00a0"


def rounded_level(levelno):
    """A custom level counts as the standard one below it."""
    return min(logging.CRITICAL, max(logging.NOTSET, levelno)) // 10 * 10


class LambdaLoggerHandler(logging.Handler):
    def __init__(self, link):
        super().__init__()
        self._link = link

    def emit(self, record):
        self._link.log(record.created, _LEVELS.get(rounded_level(record.levelno), 0), self.format(record))


class LambdaLoggerFilter(logging.Filter):
    """Gives every record the request it belongs to."""

    aws_request_id = ""
    tenant_id = None

    def filter(self, record):
        record.aws_request_id = self.aws_request_id
        record.tenant_id = self.tenant_id
        return True


class JsonFormatter(logging.Formatter):
    def format(self, record):
        level = rounded_level(record.levelno)
        members = {
            "timestamp": "%s.%03dZ" % (time.strftime(_TIME_FORMAT, time.gmtime(record.created)), record.msecs),
            "level": logging.getLevelName(level),
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": record.aws_request_id,
            "tenantId": record.tenant_id,
        }
        if record.exc_info and record.exc_info[0] is not None:
            error_type, error, stack = record.exc_info
            members["stackTrace"] = traceback.format_tb(stack)
            members["errorType"] = error_type.__name__
            members["errorMessage"] = str(error)
            members["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
        for name, value in vars(record).items():
            if name not in _RECORD_MEMBERS and name not in members:
                members[name] = value
        return _encode({name: value for name, value in members.items() if value is not None})


def _encode(members):
    try:
        return to_json(members)
    except (TypeError, ValueError):
        # An `extra` that is no JSON must not cost the log line.
        return to_json({name: value if _is_json(value) else str(value) for name, value in members.items()})


def _is_json(value):
    try:
        to_json(value)
        return True
    except (TypeError, ValueError):
        return False


def set_up_logging(link):
    """Reads AWS_LAMBDA_LOG_FORMAT and AWS_LAMBDA_LOG_LEVEL. Returns the filter, which is told each request."""
    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler(link)
    if is_json():
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter(_TEXT_FORMAT, _TIME_FORMAT))
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG"}.get(level, level)
    root = logging.getLogger()
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)
    request = LambdaLoggerFilter()
    handler.addFilter(request)
    root.addHandler(handler)
    return request


def is_json():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def log_error(link, error):
    """Logs an error that is also told to the caller: `error` as describe() makes it."""
    now = time.time()
    if is_json():
        timestamp = time.strftime(_TIME_FORMAT, time.gmtime(now)) + "Z"
        link.log(now, 5, to_json({"timestamp": timestamp, "level": "ERROR", **error}))
        return
    head = "[ERROR] " + error["errorType"]
    if error["errorMessage"]:
        head += ": " + error["errorMessage"]
    lines = [head, "Traceback (most recent call last):"]
    for entry in error["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            lines.append(_INDENT * (len(line) - len(text)) + text)
    link.log(now, 5, "\n".join(lines))
