"""The README: its walk is run as it is written, and its table is held against the routes."""

import re
import shutil
import subprocess

from flask import Flask

from auth.http.rpc import PUBLIC, RPCS

from .servers import BIN, PROJECT, free_port
from .test_development import Clone, clone, stop  # noqa: F401

README = (PROJECT / "README.md").read_text()
BLOCK = re.compile(r"```sh\n(.*?)```\n(?:```json\n(.*?)```\n)?", re.DOTALL)


def matches(shown: str, printed: str) -> bool:
    """Whether this was printed, where an ellipsis stands for anything."""
    return re.fullmatch(".+?".join(map(re.escape, shown.split("…"))), printed, re.DOTALL) is not None


def test_the_walk_works_when_pasted_in_order(clone: Clone) -> None:  # noqa: F811
    process = clone.run()
    try:
        variables = clone.printed(process)
        clone.api()
        shutil.copytree(PROJECT / "examples", clone.home / "examples")
        blocks = BLOCK.findall(README.replace(".venv/bin/", f"{BIN}/").replace("8081", str(free_port())))
        assert len(blocks) >= 9
        script = "".join(f"{commands}echo; echo '{number} done'\n" for number, (commands, _) in enumerate(blocks))
        printed = subprocess.run(
            ["bash", "-eu"], input=script, env={"PATH": "/usr/bin:/bin", **variables}, cwd=clone.home,
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip
        answers = re.split(r"\n\d+ done\n", printed)
        for (commands, shown), answer in zip(blocks, answers[:-1], strict=True):
            assert matches(shown.strip(), answer.strip()), f"{commands}\n{answer}"
    finally:
        stop(process)


def test_the_table_is_the_routes(app: Flask) -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+) (\S+)` \| (.+?) \| `(.+?)` \|$", README, re.MULTILINE)
    told = {(name, method, path, who, file) for name, method, path, who, file in rows}
    real = {
        (
            rpc.name,
            rpc.method,
            rpc.path,
            "anyone" if rpc.roles == PUBLIC else ", ".join(sorted(rpc.roles)),
            f"auth/{app.view_functions[endpoint].__module__.rpartition('.')[2]}.py",
        )
        for rule in app.url_map.iter_rules()
        if (endpoint := rule.endpoint) and (rpc := RPCS.get(endpoint.partition(".")[2]))
        and str(rule) == rpc.path and rpc.method in (rule.methods or ())
    }  # fmt: skip
    assert told == real
    assert len(real) == len(RPCS)


def test_every_route_is_declared(app: Flask) -> None:
    """Closed by default: a path is an RPC's, or one of the few that anyone may read."""
    open_paths = {"/.well-known/jwks.json", "/livez", "/readyz", "/openapi.json", "/metrics"}
    assert {str(rule) for rule in app.url_map.iter_rules()} == {rpc.path for rpc in RPCS.values()} | open_paths
