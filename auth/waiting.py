"""How a request tells whoever runs it that it is going to wait for long, so that another may go on meanwhile."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_thread = threading.local()


@contextmanager
def telling(tell: Callable[[], None]) -> Iterator[None]:
    """Have that called whenever this thread's request is about to wait, in the block."""
    _thread.tell = tell
    try:
        yield
    finally:
        del _thread.tell


def about_to_wait() -> None:
    """The current request is going to wait, and not to work."""
    tell: Callable[[], None] | None = getattr(_thread, "tell", None)
    if tell is not None:
        tell()
