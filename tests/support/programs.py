"""Programs that some tests need and that may be missing."""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str, package: str) -> str:
    """The path of that program of a Debian package. Without it the test is skipped, or fails as in `missing`."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or missing(f"{name}: apt-get install {package}")


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where REQUIRE_PROGRAMS is set."""
    give_up = pytest.fail if os.environ.get("REQUIRE_PROGRAMS") else pytest.skip
    give_up(f"not installed: {what}")
