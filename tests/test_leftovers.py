"""A test run that is killed ends all that it has started."""

import subprocess
import sys
from pathlib import Path

import pytest

from .support.servers import PROJECT

KILLED = """
import os, signal, subprocess
from tests.support import leftovers

leftovers.TEARDOWN_SECONDS = 0
leftovers.supervise()
daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(daemon.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no subreapers")
def test_a_daemon_ends_with_a_killed_run() -> None:
    """The output ends when the daemon has ended, which also has it."""
    run = subprocess.run([sys.executable, "-c", KILLED], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (137, "")
    assert not Path(f"/proc/{int(run.stdout)}").exists()
