"""The Python runtime, for CPython 3.9 and later; needs nothing but the standard library.

It starts in one of two ways: on its own, with the link as descriptor 3; or forked from an interpreter that has
imported all of this already, see zygote.py. From then on there is no difference.
"""

from .link import FRAME_BOOTED, LINK_FD, Link
from .runtime import await_function, boot, serve, specialise
from .zygote import fork_on_request, is_zygote

__all__ = ["FRAME_BOOTED", "LINK_FD", "Link", "await_function", "boot", "main", "serve", "specialise"]


def main():
    if is_zygote():
        fork_on_request()
    link = Link(LINK_FD)
    boot(link)
    serve(link, specialise(link, await_function(link)))
