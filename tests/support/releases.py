"""The previous release, by its commit in docs/CHANGELOG.md."""

import io
import re
import subprocess
import tarfile

from .servers import PROJECT


def previous_code(*paths: str) -> bytes:
    """A tar archive of these paths of its code, by default of all. Raises `CalledProcessError` without its history."""
    named = re.search(r"commit `(\w{40})`", (PROJECT / "docs/CHANGELOG.md").read_text())
    assert named is not None
    command = ["git", "archive", named[1], *paths]
    return subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def previous_statements() -> dict[str, str]:
    """Its statements by their names."""
    statements = {}
    with tarfile.open(fileobj=io.BytesIO(previous_code("sql"))) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.count("/") == 1:
                statements[member.name.removeprefix("sql/").removesuffix(".sql")] = file.read().decode()
    return statements
