"""The sizes that keep the code readable. Which module may import which stands in pyproject.toml (import-linter)."""

import ast
from pathlib import Path

import pytest

from app import create_app
from auth.config import Config

from .support.servers import PROJECT

FUNCTION_LINES = 25
FILE_LINES = 150  # non-empty ones, as in every sum below
README_LINES = 134  # a line for each RPC

ROOT = [PROJECT / "app.py", PROJECT / "gunicorn.conf.py"]
CLI = sorted(PROJECT.glob("auth/cli/**/*.py"))
SERVICE = [*ROOT, *sorted(set(PROJECT.glob("auth/**/*.py")) - set(CLI))]
# The files of an addition: its RPCs, its part of auth/core/ and its commands.
SECOND_FACTOR = [path for path in [*SERVICE, *CLI] if path.stem in ("second_factor", "second_factor_models", "sla")]
DOORS = [path for path in SERVICE if path.stem in ("oauth", "scripts")]
ELEVEN = [path for path in SERVICE if path not in [*SECOND_FACTOR, *DOORS]]
COMMANDS = [path for path in CLI if path not in SECOND_FACTOR]
BENCH = [path for path in sorted(PROJECT.glob("dev/bench/**/*.py")) if "installed" not in path.parts]
DEV = sorted(set(PROJECT.glob("dev/**/*.py")) - set(PROJECT.glob("dev/bench/**/*.py")))
EXAMPLES = sorted(PROJECT.glob("examples/**/*.py"))
PORTAL = sorted(PROJECT.glob("examples/portal/*.py"))
PRODUCT = [*SERVICE, *CLI, *DEV, *BENCH, *EXAMPLES]


def lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text().splitlines())


def imported(path: Path) -> set[str]:
    """The first part of each absolute import in the file."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names}


def test_functions_are_short() -> None:
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= FUNCTION_LINES, f"{path}: {node.name} has {length} lines"


def test_files_are_short() -> None:
    assert {path: lines(path) for path in PRODUCT if lines(path) > FILE_LINES} == {}


@pytest.mark.parametrize(
    ("part", "limit"),
    [
        pytest.param(ELEVEN, 2200, id="what a newcomer reads to understand the eleven RPCs"),
        pytest.param(SECOND_FACTOR, 420, id="second factor and terms"),
        pytest.param(DOORS, 260, id="doors and personal tokens"),
        pytest.param([*ELEVEN, *SECOND_FACTOR, *DOORS], 2850, id="the eleven RPCs and the additions together"),
        pytest.param(COMMANDS, 720, id="cli"),
        pytest.param(DEV, 280, id="dev"),
        pytest.param(BENCH, 800, id="bench"),
        pytest.param(PORTAL, 250, id="portal"),
    ],
)
def test_a_part_is_small(part: list[Path], limit: int) -> None:
    total = sum(map(lines, part))
    assert 0 < total <= limit, f"{total} lines: delete some, or raise the limit and say why"


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_entry_points_import_nothing_of_dev() -> None:
    """import-linter reads packages only, and these two are files."""
    assert not {path.name for path in ROOT if "dev" in imported(path)}


FLASK_HOOKS = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "error_handler_spec",
    "url_value_preprocessors",
    "url_default_functions",
)


def test_no_hook_of_flask_is_registered(config: Config) -> None:
    """`Service.wsgi_app` would not call it."""
    app = create_app(config)
    for part in (app, *app.blueprints.values()):
        assert {name: getattr(part, name) for name in FLASK_HOOKS if getattr(part, name)} == {}
    assert app.teardown_appcontext_funcs == []


def test_the_service_uses_of_flask_only_what_needs_no_context() -> None:
    names = set()
    for path in [*SERVICE, *CLI]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "flask":
                names |= {alias.name for alias in node.names}
            assert not (isinstance(node, ast.Import) and node.names[0].name == "flask"), path
    assert names == {"Flask", "Blueprint"}
