"""What runs first in a Python execution environment: boots the runtime and serves one function until the link closes."""

from hornero_runtime import main

main()
