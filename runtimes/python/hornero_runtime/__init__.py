"""The Python runtime, for CPython 3.9 and later; needs nothing but the standard library.

Its three steps can be called one by one, so that a fork server can take the first ahead of time:

    link = Link(fd)             the fast link to the platform
    boot(link)                  the generic runtime is up: BOOTED
    serve(link, specialise(link, message))
"""

from .link import FRAME_BOOTED, LINK_FD, Link
from .runtime import await_function, boot, serve, specialise

__all__ = ["FRAME_BOOTED", "LINK_FD", "Link", "await_function", "boot", "main", "serve", "specialise"]


def main():
    link = Link(LINK_FD)
    boot(link)
    serve(link, specialise(link, await_function(link)))
