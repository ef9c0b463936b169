"""The command line, as an operator uses it."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from auth.cli import command_line

from .servers import BIN, PROJECT


class CommandLine:
    """Runs `flask …` with only what it needs in the environment.

    `process` starts a real process, at half a second each. The other methods run the command in this process, which
    only one thread may do at a time.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {"PATH": os.environ["PATH"], **environment}

    def process(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [BIN / "flask", *arguments], cwd=PROJECT, env=self.environment, input=stdin, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        runner = command_line.test_cli_runner(catch_exceptions=False)
        with patch.dict(os.environ, self.environment, clear=True):
            result = runner.invoke(args=arguments, input=stdin, prog_name="flask")
        return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)

    def json(self, *arguments: str, stdin: str = "") -> Any:
        finished = self.run(*arguments, "--json", stdin=stdin)
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    def fails(self, *arguments: str, stdin: str = "") -> str:
        """The error message, of one line, of a command that must fail."""
        finished = self.run(*arguments, stdin=stdin)
        assert finished.returncode != 0
        assert finished.stdout == ""
        *usage, line = finished.stderr.strip().splitlines()
        assert not usage or usage[0].startswith("Usage: ")  # click's own, where an argument is not one
        return line
