"""Password hashing: argon2id by passlib. Bytes are hashed as received: not trimmed, folded or normalised."""

import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from passlib.context import CryptContext
from passlib.hash import argon2, pbkdf2_sha512

from auth.core.errors import InvalidRequest, LoginBusy
from auth.core.limits import PASSWORD_BYTES

# The least that OWASP's Password Storage Cheat Sheet accepts for argon2id: KiB, passes and lanes.
COST: Final = {"argon2__memory_cost": 19 * 1024, "argon2__time_cost": 2, "argon2__parallelism": 1}

CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
WAITING: Final = 36  # the most threads in which calls wait for a hash; gunicorn.conf.py has more
WAIT_SECONDS: Final = 1.0
BCRYPT_BYTES: Final = 72  # bcrypt ignores the rest; the hash that replaces it is of the whole password

# The kinds of hash that are verified, ours first, with the highest cost that a login computes: about 20 times ours.
CEILINGS: Final = {
    "argon2": (2**18, "KiB times passes"),  # PHP: 64 MiB, 4 passes; one pass counts as two, so at most 128 MiB
    "bcrypt": (13, "(cost)"),  # Symfony's
    "django_bcrypt_sha256": (13, "(cost)"),
    "scrypt": (2**20, "N times r times p"),  # OWASP's; at most 128 MiB
    "pbkdf2_sha1": (1_500_000, "rounds"),  # Django 6.1's for sha256
    "pbkdf2_sha256": (1_500_000, "rounds"),
    "pbkdf2_sha512": (700_000, "rounds"),  # OWASP has 210,000
    "sha256_crypt": (700_000, "rounds"),  # passlib has 535,000
    "sha512_crypt": (700_000, "rounds"),  # passlib has 656,000
}

Result = TypeVar("Result")


class Places(threading.BoundedSemaphore):
    """The places of a queue. A `with` block keeps one, and raises `LoginBusy` at once when none is free."""

    def __enter__(self, *_: object) -> bool:
        if not self.acquire(blocking=False):
            raise LoginBusy
        return True


class OriginalPbkdf2(pbkdf2_sha512):  # type: ignore[misc]
    """UCloud's own hashes: PBKDF2-HMAC-SHA512 with a key of 32 bytes, where passlib's handler requires 64."""

    name = "ucloud_pbkdf2_sha512"
    ident = "$ucloud-pbkdf2-sha512$"
    checksum_size = 32
    encoded_checksum_size = 43


argon2.get_backend()  # loads the backend: passlib cannot load it once there are two contexts
_context = CryptContext([*CEILINGS, OriginalPbkdf2], deprecated="auto", **COST)
# Hashes of another kind or cost than ours take up to 20 times as long. In a thread of their own they do not block ours.
_threads = {is_foreign: ThreadPoolExecutor(CORES) for is_foreign in (False, True)}  # few: each keeps a hash's memory
queue: Final = Places(WAITING)  # a login takes a place before it is counted, and keeps it for all its hashes


def prepare(processes: int) -> None:
    """Called in each process before its first hash. The processes share the cores."""
    share = math.ceil(CORES / processes)
    _threads[False] = ThreadPoolExecutor(share)
    _threads[True] = ThreadPoolExecutor(1) if share < CORES else _threads[False]  # no more hashes at once than cores
    _context.dummy_verify()  # computes the hash for unknown users now, so that their first login takes no longer


def hash_password(password: str) -> str:
    return str(_context.hash(password.encode()))


def check_length(password: str) -> None:
    """Raises `InvalidRequest` for a password that is longer than any stored one can be."""
    if len(password.encode()) > PASSWORD_BYTES:
        raise InvalidRequest(f"The password must have 1 to {PASSWORD_BYTES} bytes.")


def verify(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    """Whether the password is right, and a new hash to store where the old one is outdated."""
    secret = password.encode()
    scheme = _context.identify(password_hash or "")
    # bcrypt and sha_crypt refuse NUL; PBKDF2 and scrypt ignore it at the end
    if password_hash is None or excess(password_hash, len(secret)) or (scheme != "argon2" and b"\0" in secret):
        return _context.dummy_verify(), None  # the time does not reveal unknown users
    matches = _context.verify(secret[:BCRYPT_BYTES] if scheme == "bcrypt" else secret, password_hash)
    return matches, hash_password(password) if matches and _context.needs_update(password_hash) else None


def excess(password_hash: str, password_bytes: int = 0) -> str | None:
    """The kind, cost and ceiling of a hash above its ceiling, else None. Raises `ValueError` if it is not a hash."""
    scheme = str(_context.identify(password_hash, required=True))
    parts = _context.handler(scheme).from_string(password_hash)
    if parts.checksum is None or not password_hash.isprintable():
        raise ValueError("The hash is not complete.")
    cost = int(parts.rounds)
    ceiling, unit = CEILINGS[scheme.removeprefix("ucloud_")]
    if scheme == "argon2":  # each lane is a thread, so four lanes count as a pass
        cost = parts.memory_cost * max(cost, 2, parts.parallelism // 4)
    elif scheme == "scrypt":
        cost = parts.block_size * parts.parallelism << cost
    elif scheme.endswith("_crypt"):  # each round of sha_crypt reads the whole password
        cost *= 1 + password_bytes // 256
    return f"{scheme} of {cost:,} {unit}, above the ceiling of {ceiling:,}" if cost > ceiling else None


def in_turn(deadline: float, waited: Callable[[float], object], work: Callable[..., Result], *arguments: Any) -> Result:
    """The result of the work, once a thread is free. `waited` gets the seconds of the wait. Raises `LoginBusy`."""
    asked = time.monotonic()

    def begin() -> Result:
        waited(time.monotonic() - asked)
        return work(*arguments)

    is_foreign = work is verify and bool(arguments[1]) and _context.needs_update(arguments[1])
    task = _threads[is_foreign].submit(begin)
    try:
        return task.result(min(WAIT_SECONDS, deadline - asked))
    except TimeoutError:
        if task.cancel():
            waited(time.monotonic() - asked)
            raise LoginBusy from None
        return task.result()
