"""From a generic interpreter to one function, and from invocation to invocation."""

import json
import os
import site
import struct
import sys
import time

from .bytecode import is_below, use_bytecode
from .context import LambdaContext
from .errors import RuntimeFault, describe
from .handler import load_handler
from .link import (
    FRAME_BOOTED,
    FRAME_ERROR,
    FRAME_INIT_ERROR,
    FRAME_INVOKE,
    FRAME_READY,
    FRAME_RESPONSE,
    FRAME_SPECIALISE,
)
from .logs import log_error, set_up_logging
from .marshal import marshal_response, to_json, unmarshal_event

_RUNTIME_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_HEAD_LENGTH = struct.Struct("<I")


class Function:
    """A loaded function: its handler and the logging filter that is told each request."""

    def __init__(self, handler, request_filter, output):
        self.handler = handler
        self.request_filter = request_filter
        self.output = output


def boot(link):
    """Makes the interpreter one that functions know, and tells the platform that it waits."""
    # The site module is switched off on the command line because it would run .pth files of the host's; what functions
    # use of it are the builtins.
    site.setquit()
    site.setcopyright()
    site.sethelper()
    version = {"version": "%d.%d.%d" % sys.version_info[:3]}
    link.send(FRAME_BOOTED, to_json(version).encode())


def await_function(link):
    """Blocks until the platform says which function this is."""
    kind, body = link.receive()
    if kind != FRAME_SPECIALISE:
        raise RuntimeFault("ProtocolError", "a frame of type %d before SPECIALISE" % kind)
    return json.loads(body)


def specialise(link, message):
    """Becomes the runtime of one function: {environment, handler, taskRoot, layersRoot?, artefacts?}. Returns the
    Function; when it cannot be loaded, the platform is told and the process ends."""
    os.environ.update(message["environment"])
    time.tzset()
    task_root = message["taskRoot"]
    layers_root = message.get("layersRoot", "/opt")
    os.chdir(task_root)
    sys.path[:] = _search_path(task_root, layers_root)
    _forget_finders(task_root, layers_root)
    if "artefacts" in message:
        use_bytecode(message["artefacts"], task_root, layers_root)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    output = sys.stdout
    request_filter = set_up_logging(link)
    try:
        handler = load_handler(message["handler"])
    except Exception as error:
        description = describe(error)
        log_error(link, description)
        link.send(FRAME_INIT_ERROR, to_json(description).encode())
        sys.exit(1)
    link.send(FRAME_READY)
    return Function(handler, request_filter, output)


def _search_path(task_root, layers_root):
    """Lambda's order: the function, its layers, PYTHONPATH, the runtime, the standard library, installed packages."""
    version = "python%d.%d" % sys.version_info[:2]
    configured = os.environ.get("PYTHONPATH", "").split(":")
    # What the interpreter knew at its start, without what its command line and environment had added.
    own = [path for path in sys.path if path.startswith((sys.base_prefix + os.sep, "/usr/"))]
    order = [
        task_root,
        "%s/python/lib/%s/site-packages" % (layers_root, version),
        "%s/python" % layers_root,
        *filter(None, configured),
        _RUNTIME_FOLDER,
        *own,
        *site.getsitepackages([sys.base_prefix]),
    ]
    return list(dict.fromkeys(order))


def _forget_finders(*roots):
    """What the interpreter has found below these folders while the function's code was not there yet."""
    for path in list(sys.path_importer_cache):
        if any(is_below(path, root) for root in roots):
            del sys.path_importer_cache[path]


def serve(link, function):
    """Answers one invocation after the other. Ends the process with the function's own status, or with the link."""
    try:
        while True:
            kind, body = link.receive()
            if kind != FRAME_INVOKE:
                raise RuntimeFault("ProtocolError", "a frame of type %d while serving" % kind)
            _invoke(link, function, body)
    finally:
        _flush(function.output)


def _invoke(link, function, body):
    (head_length,) = _HEAD_LENGTH.unpack_from(body)
    event_at = _HEAD_LENGTH.size + head_length
    head = json.loads(body[_HEAD_LENGTH.size : event_at])
    request_id = head["requestId"]
    function.request_filter.aws_request_id = request_id
    function.request_filter.tenant_id = head.get("tenantId")
    _set_trace_header(head.get("traceHeader"))
    try:
        context = LambdaContext(head, lambda text: link.log(time.time(), 0, text))
        event = unmarshal_event(body[event_at:])
        answer = marshal_response(function.handler(event, context))
        kind = FRAME_RESPONSE
    except Exception as error:
        description = describe(error, request_id)
        log_error(link, description)
        answer = to_json(description).encode()
        kind = FRAME_ERROR
    _flush(function.output)
    link.send(kind, request_id.encode("ascii"), answer)


def _set_trace_header(trace_header):
    if trace_header:
        os.environ["_X_AMZN_TRACE_ID"] = trace_header
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def _flush(output):
    """A print without a newline belongs to its invocation too. The function may have closed its stdout."""
    if not output.closed:
        output.flush()
