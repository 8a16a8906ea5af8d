"""Compiles a function's code when it is published, and runs none of it: `compile_code.py TASK_ROOT LAYERS_ROOT`."""

import sys

from hornero_runtime.compiler import main

main(*sys.argv[1:])
