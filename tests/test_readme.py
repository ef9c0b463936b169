"""The documents: their commands run as written, and the README's table of calls is the routes."""

import re
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest
from flask import Flask

from auth.http.rpc import PUBLIC, RPCS

from .support.servers import BIN, PROJECT, free_port
from .test_development import Clone, clone, stop  # noqa: F401

README = (PROJECT / "README.md").read_text()
DOCUMENTS = ("README.md", "docs/walkthrough.md", "docs/operations.md", "docs/integrate.md")
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```\n(?:^ *```(?:json|text)\n(.*?)^ *```\n)?", re.DOTALL | re.MULTILINE)


def matches(shown: str, printed: str) -> bool:
    """Whether the output matches the expected text, in which an ellipsis stands for any text."""
    return re.fullmatch(".+?".join(map(re.escape, shown.split("…"))), printed, re.DOTALL) is not None


def check_blocks(document: str, home: Path, variables: dict[str, str]) -> None:
    """Run the document's commands in one shell, and compare each block's output with the block after it."""
    text = (PROJECT / document).read_text().replace(".venv/bin/", f"{BIN}/").replace("8081", str(free_port()))
    blocks = [(dedent(commands), dedent(shown)) for commands, shown in BLOCK.findall(text)]
    assert blocks, document
    script = "".join(f"{commands}echo; echo '{number} done'\n" for number, (commands, _) in enumerate(blocks))
    printed = subprocess.run(
        ["bash", "-eu"], input=script, env={"PATH": "/usr/bin:/bin", **variables}, cwd=home,
        capture_output=True, text=True, timeout=180, check=True,
    ).stdout  # fmt: skip
    answers = re.split(r"\n\d+ done\n", printed)
    for (commands, shown), answer in zip(blocks, answers[:-1], strict=True):
        assert matches(shown.strip(), answer.strip()), f"{document}\n{commands}\n{answer}"


@pytest.mark.slow
def test_the_commands_work_when_pasted_in_order(clone: Clone) -> None:  # noqa: F811
    process = clone.run()
    try:
        variables = clone.printed(process)
        clone.api()
        shutil.copytree(PROJECT / "examples", clone.home / "examples")
        for document in DOCUMENTS:
            check_blocks(document, clone.home, variables)
    finally:
        stop(process)


def test_every_link_leads_to_a_file() -> None:
    for path in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        for target in re.findall(r"(?:\]\(|src=\")([^)#\"]+)", path.read_text()):
            assert (path.parent / target).is_file(), f"{path.name}: {target}"


def test_the_table_is_the_routes(app: Flask) -> None:
    shown = set(re.findall(r"^\| `([\w.]+)` \| `(\w+) (\S+)` \| (.+?) \| `(.+?)` \|$", README, re.MULTILINE))
    real = {
        (
            rpc.name,
            rpc.method,
            rpc.path,
            "anyone" if rpc.roles == PUBLIC else ", ".join(sorted(rpc.roles)),
            f"{app.blueprints[blueprint].import_name.replace('.', '/')}.py",
        )
        for rule in app.url_map.iter_rules()
        for blueprint, _, name in [rule.endpoint.partition(".")]
        if (rpc := RPCS.get(name.replace(":", "."))) and str(rule) == rpc.path and rpc.method in (rule.methods or ())
    }
    assert shown == real
    assert len(real) == len(RPCS)


def test_every_route_is_declared(app: Flask) -> None:
    """Closed by default: a path is an RPC's, or one of the few that anyone may read."""
    metadata = "/.well-known/oauth-authorization-server"
    open_paths = {
        metadata,
        f"{metadata}/<path:of_issuer>",
        "/.well-known/jwks.json",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/metrics",
    }
    assert {str(rule) for rule in app.url_map.iter_rules()} == {rpc.path for rpc in RPCS.values()} | open_paths
