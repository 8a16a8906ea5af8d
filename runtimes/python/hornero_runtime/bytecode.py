"""Bytecode that was made of the function's code when it was published, see compiler.py. Two files in one folder:

    bytecode        marshalled code objects, one after the other
    bytecode.index  the interpreter's magic number, then a marshalled dict {source: (offset, length)}

A source is its path below one of two roots: `task/app.py`, `opt/python/lib.py`. The code is read-only, so nobody asks
whether the bytecode is still that of its source.

sys.pycache_prefix is not used: the interpreter would look there for the standard library's bytecode, too.
"""

import _imp
import marshal
import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import MAGIC_NUMBER

CODE_FILE = "bytecode"
INDEX_FILE = "bytecode.index"
TASK = "task"
LAYERS = "opt"


def pack_index(places):
    """The content of the index: {source: (offset, length)} as bytes."""
    return MAGIC_NUMBER + marshal.dumps(places)


def use_bytecode(folder, task_root, layers_root):
    """Has modules below the two roots take their bytecode from `folder`. What is not there is compiled, as ever."""
    roots = {task_root: TASK, layers_root: LAYERS}
    places = _read_index(folder)
    # It was made without optimisation.
    if places is None or sys.flags.optimize:
        return
    PublishedLoader.bytecode = _Bytecode(os.path.join(folder, CODE_FILE), places, roots)
    # The interpreter's own order of loaders.
    find_in = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (PublishedLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def find_published(path):
        if any(is_below(path, root) for root in roots):
            return find_in(path)
        raise ImportError("not the function's code", path=path)

    sys.path_hooks.insert(0, find_published)


def is_below(path, root):
    return path == root or path.startswith(root + os.sep)


def _read_index(folder):
    """None where there is none, or another interpreter's."""
    try:
        with open(os.path.join(folder, INDEX_FILE), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return None
    if not content.startswith(MAGIC_NUMBER):
        return None
    try:
        return marshal.loads(memoryview(content)[len(MAGIC_NUMBER) :])
    except (EOFError, ValueError, TypeError):
        return None


class _Bytecode:
    def __init__(self, file, places, roots):
        self._file = file
        self._places = places
        self._roots = roots

    def find(self, path):
        """The code object of the source at `path`; None when there is none."""
        place = self._places.get(self._source(path))
        if place is None:
            return None
        offset, length = place
        # Not kept open: functions count and close descriptors.
        descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
        try:
            code = marshal.loads(content)
        except (EOFError, ValueError, TypeError):
            # A file cut short, by a machine that lost its power: what is missing is compiled.
            return None
        # Without walls each sandbox has its code in another folder.
        _imp._fix_co_filename(code, path)
        return code

    def _source(self, path):
        for root, name in self._roots.items():
            if path.startswith(root + os.sep):
                return name + path[len(root) :]
        return None


class PublishedLoader(SourceFileLoader):
    """Differs from its base in nothing but where bytecode comes from."""

    bytecode = None

    def get_code(self, fullname):
        code = self.bytecode.find(self.get_filename(fullname))
        return super().get_code(fullname) if code is None else code
