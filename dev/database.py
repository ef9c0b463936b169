"""The database of `make run`. `python -m dev.database` prints its URL, and keeps it up until standard input ends."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dev.embedded import EmbeddedPostgres

HOME: Final = Path(__file__).parent.parent / ".data"


@contextmanager
def running() -> Iterator[str]:
    """The URL of the database, which is started if it does not run. The last process that uses it stops it."""
    HOME.mkdir(exist_ok=True)
    process = os.getpid()
    with (HOME / "lock").open("w") as lock, (HOME / "users").open("w+") as users:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # lockf: the workers that gunicorn forks do not have these locks
        fcntl.lockf(users, fcntl.LOCK_SH)
        server = EmbeddedPostgres(HOME)
        try:
            server.start()
            fcntl.lockf(lock, fcntl.LOCK_UN)
            yield server.url()
        finally:
            if os.getpid() == process:  # not one of those workers, which also end by an exception
                fcntl.lockf(lock, fcntl.LOCK_EX)
                with suppress(BlockingIOError):
                    fcntl.lockf(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    server.stop()


def main() -> None:
    try:
        with running() as url:
            print(url, flush=True)
            sys.stdin.read()
    except (OSError, RuntimeError) as problem:
        sys.exit(" ".join(str(problem).split()))


if __name__ == "__main__":
    main()
