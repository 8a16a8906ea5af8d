"""Compiles the sources of a function and of its layers, without running them, and sends the bytecode over the link.

What does not compile, or not without a warning, is left out: its environment will tell what is wrong with it.
"""

import importlib.util
import marshal
import os
import stat
import sys
import time
import warnings

from .bytecode import CODE_FILE, INDEX_FILE, LAYERS, TASK, pack_index
from .link import FRAME_FILE, FRAME_NOT_PREPARED, FRAME_PREPARED, LINK_FD, Link

# Ours: a function beyond them loads the rest as it would without. One source's bytecode is about as long as the source;
# while it is compiled it takes a hundred times that.
_FILES_MAX = 8192
_FOLDERS_MAX = 5000
_SOURCE_BYTES_MAX = 64 * 1024 * 1024
_FILE_BYTES_MAX = 2 * 1024 * 1024
# The platform ends us after 30.
_SECONDS_MAX = 25
_PIECE_BYTES = 256 * 1024
# A .pyc of this kind is the code of its module, whatever the source says [PEP 552].
_UNCHECKED_HASH = (1).to_bytes(4, "little")


def main(task_root, layers_root):
    link = Link(LINK_FD)
    try:
        _compile_all(link, [(TASK, task_root), (LAYERS, layers_root)])
    except Exception as error:
        link.send(FRAME_NOT_PREPARED, ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "backslashreplace"))
        sys.exit(1)
    link.send(FRAME_PREPARED)


def _compile_all(link, roots):
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", SyntaxWarning)
    places = {}
    pending = bytearray()
    offset = 0
    for source, path in _sources(roots, time.monotonic() + _SECONDS_MAX):
        code = _compile(path)
        if code is None:
            continue
        places[source] = (offset, len(code))
        offset += len(code)
        pending += code
        if len(pending) >= _PIECE_BYTES:
            _send_file(link, CODE_FILE, pending)
            pending = bytearray()
    _send_file(link, CODE_FILE, pending)
    _send_file(link, INDEX_FILE, pack_index(places))


def _sources(roots, deadline_s):
    """Each source as (its name in the index, path), the function's before its layers', within the bounds."""
    folders = files = size = 0
    for name, root in roots:
        seen = set()
        # Links are followed: they lead to code, too. Not in circles.
        for folder, below, entries in os.walk(root, followlinks=True):
            status = os.stat(folder)
            folders += 1
            if folders > _FOLDERS_MAX:
                return
            if (status.st_dev, status.st_ino) in seen:
                below.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            below[:] = sorted(entry for entry in below if entry != "__pycache__")
            for path in sorted(os.path.join(folder, entry) for entry in entries if entry.endswith(".py")):
                length = _length(path)
                if length is None:
                    continue
                files += 1
                size += length
                if files > _FILES_MAX or size > _SOURCE_BYTES_MAX or time.monotonic() > deadline_s:
                    return
                yield name + path[len(root) :], path


def _length(path):
    """The bytes of a source that is to be compiled; None for what is left out."""
    try:
        status = os.stat(path)
    except OSError:
        # A link to nothing.
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size > _FILE_BYTES_MAX or _brings_its_own(path):
        return None
    return status.st_size


def _brings_its_own(path):
    """Whether the zip has bytecode that the interpreter takes without a look at the source. Any other kind it takes only
    where it is the source's, and then it is what we make."""
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            return file.read(8) == importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH
    except OSError:
        return False


def _compile(path):
    try:
        with open(path, "rb") as file:
            source = file.read()
        return marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))
    except Exception:
        # Whatever a source may do to a compiler: SyntaxError, ValueError, RecursionError, MemoryError, …
        return None


def _send_file(link, name, content):
    name = name.encode()
    link.send(FRAME_FILE, len(name).to_bytes(2, "little"), name, bytes(content))
