"""The embedded database for a command: `python -m dev.database` prints its URL, and keeps it up until input ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dev.embedded import HOME, EmbeddedPostgres, locked

COMMAND_SECONDS: Final = 30  # that a command waits for the one before it


@contextmanager
def running() -> Iterator[str]:
    """The URL of the database. It is started, and stopped again, where `make run` does not have it up."""
    server = EmbeddedPostgres(HOME)
    with locked(HOME / "serving", seconds=0) as nobody_serves:
        pass
    if not nobody_serves:
        yield server.url()
        return
    with locked(HOME / "lock", COMMAND_SECONDS) as alone:
        if not alone:
            raise RuntimeError("The embedded database is in use by another command.")
        try:
            server.start()
            yield server.url()
        finally:
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
