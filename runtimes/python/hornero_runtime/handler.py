"""Finds and loads the function's handler as Lambda's Python runtimes do."""

import importlib
import sys

from .errors import RuntimeFault


def load_handler(handler):
    """The callable that `module.function` names; slashes in the module are dots. Raises RuntimeFault, or what the
    function's own code raised while it was imported."""
    try:
        module_name, function_name = handler.rsplit(".", 1)
    except ValueError as error:
        raise RuntimeFault("MalformedHandlerName", "Bad handler '%s': %s" % (handler, error)) from None
    module = _import(module_name)
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise RuntimeFault("HandlerNotFound", message) from None


def _import(name):
    if name.split(".")[0] in sys.builtin_module_names:
        raise RuntimeFault("BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % name)
    try:
        return importlib.import_module(name.replace("/", "."))
    except ImportError as error:
        raise RuntimeFault("ImportModuleError", "Unable to import module '%s': %s" % (name, error)) from None
    except SyntaxError as error:
        place = '  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)
        raise RuntimeFault("UserCodeSyntaxError", "Syntax error in module '%s': %s" % (name, error), [place]) from None
