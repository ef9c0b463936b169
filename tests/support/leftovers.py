"""Ends the processes that an interrupted test run leaves behind: services, databases, browsers. Only on Linux."""

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress

import psutil

PR_SET_PDEATHSIG = 1  # see prctl(2)
PR_SET_CHILD_SUBREAPER = 36
TEARDOWN_SECONDS = 10  # the fixtures of xdist's workers have this long to end what they started


def supervise() -> None:
    """Return in a new process, which runs the tests. The old one waits for it, and then ends whatever it left.

    Linux gives the old process all orphans of the new one, even daemons such as PostgreSQL.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    tests = os.fork()
    if tests == 0:
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(tests, number))
    ended = status = 0
    while ended != tests:
        ended, status = os.waitpid(-1, 0)
    _end_the_rest()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def interrupt_with_parent() -> None:
    """Interrupt this process as by Ctrl-C when its parent ends. Only the first interrupt counts.

    A second one, which the terminal, xdist or `supervise` may send, would stop the fixtures that tidy up.
    """

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _end_the_rest() -> None:
    deadline = time.monotonic() + TEARDOWN_SECONDS
    while rest := psutil.Process().children(recursive=True):
        if time.monotonic() > deadline:
            for process in rest:
                with suppress(psutil.Error):
                    process.kill()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.1)
