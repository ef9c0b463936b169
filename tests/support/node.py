"""Runs JavaScript with the packages that `make install` fetches from npm."""

import os
import subprocess
from pathlib import Path

from .programs import missing
from .servers import BIN


def node(folder: Path, code: str, *arguments: str, package: str, **environment: str) -> str:
    """The output of the module. Skips the test where the package is not installed."""
    modules = BIN.parent / "node_modules"
    if not (modules / package).exists():
        missing(f"{package}: `make install`, which needs npm")
    (folder / "node_modules").symlink_to(modules)
    (folder / "main.mjs").write_text(code)
    return subprocess.run(
        ["node", "main.mjs", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": os.environ["PATH"], **environment},
    ).stdout  # fmt: skip
