"""The parts of the service, each alone: the statements under pgbench, and hashing by argon2id."""

import re
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from argon2 import PasswordHasher

from .calls import PASSWORD, PASSWORD_HASH
from .load import CONNECTIONS, SECONDS, show
from .rows import ROWS, SESSIONS
from .service import PGBENCH, WORKERS
from .statements import PLACEHOLDER, statements, value

SCRIPTS: Final = {
    "refresh": ("refresh_token_find",),
    "claim": ("jti_claim_insert",),
    "login": ("login_find", "login_attempt_start", "session_insert"),
}


def alone(url: str) -> dict[str, float]:
    """By part, how often a second."""
    show("pgbench and hashing alone")
    rates = {f"pgbench: {name}": _under_pgbench(url, name) for name in SCRIPTS}
    return rates | {"hashing by argon2id, all cores": hashing()}


def hashing() -> float:
    """How many passwords a second as many processes as the service has hash, when they do nothing else."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(_hashes_a_second, [PASSWORD_HASH] * WORKERS))


def _hashes_a_second(password_hash: str) -> float:
    hasher, started, count = PasswordHasher(), time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < SECONDS:
        hasher.verify(password_hash, PASSWORD)
        count += 1
    return count / elapsed


def _under_pgbench(url: str, script: str) -> float:
    """How many times a second pgbench runs all the statements of a call."""
    highest = ROWS // SESSIONS if script == "login" else ROWS
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("\n".join([f"\\set n random(1, {highest})", *map(_for_pgbench, SCRIPTS[script])]))
        file.flush()
        options = ["-n", "-M", "prepared", f"-c{CONNECTIONS}", f"-T{SECONDS}", "-f", file.name]
        output = subprocess.check_output([PGBENCH, *options, url], text=True, stderr=subprocess.STDOUT)
    return float(output.partition("\ntps = ")[2].split()[0])


def _for_pgbench(name: str) -> str:
    statement = re.sub(r"(?<!:):(?=[a-z])", ": ", statements()[name])  # of a slice; pgbench takes it for a variable
    ending = "\\gset" if name == "login_attempt_start" else ";"
    return PLACEHOLDER.sub(lambda match: f"({value(name, match[1])})", statement) + f" {ending}"
