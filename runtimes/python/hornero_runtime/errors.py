"""Errors as the platform and the caller of a function are told them."""

import os
import traceback

_RUNTIME_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class RuntimeFault(Exception):
    """An error of the runtime's own finding: `Runtime.…`, without a stack that would only show the runtime."""

    def __init__(self, error_type, message, stack_trace=()):
        super().__init__(message)
        self.error_type = "Runtime." + error_type
        self.message = message
        self.stack_trace = list(stack_trace)


def describe(error, request_id=""):
    """{errorMessage, errorType, requestId, stackTrace} of an exception that is being handled."""
    if isinstance(error, RuntimeFault):
        message, error_type, stack_trace = error.message, error.error_type, error.stack_trace
    else:
        message, error_type, stack_trace = _message(error), type(error).__name__, _stack(error)
    return {
        "errorMessage": message,
        "errorType": error_type,
        "requestId": request_id,
        "stackTrace": stack_trace,
    }


def _message(error):
    try:
        return str(error)
    except Exception:
        return "<unprintable %s object>" % type(error).__name__


def _stack(error):
    """The frames from the first one outside the runtime on, each formatted with its source line."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = 0
    while inside < len(frames) and frames[inside].filename.startswith(_RUNTIME_FOLDER + os.sep):
        inside += 1
    shown = frames[inside:] or frames
    return traceback.format_list([(frame.filename, frame.lineno, frame.name, frame.line) for frame in shown])
