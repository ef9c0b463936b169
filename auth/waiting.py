"""How a request tells whoever runs it that it is going to wait for long, so that another may go on meanwhile."""

import threading
from collections.abc import Callable

_thread = threading.local()


def on_wait(tell: Callable[[], None]) -> None:
    """Have that called when this thread's request is about to wait."""
    _thread.tell = tell


def about_to_wait() -> None:
    """The current request is going to wait, and not to work."""
    tell: Callable[[], None] | None = getattr(_thread, "tell", None)
    if tell is not None:
        tell()
