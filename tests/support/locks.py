"""Stops a call at a lock of the test, so that the test decides what happens meanwhile, on any machine."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import psycopg

WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@contextmanager
def holding(database_url: str, statement: str, *parameters: object) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has run the statement, and keeps its locks until the block ends. The end commits it."""
    with psycopg.connect(database_url) as connection:
        connection.execute(statement, parameters)
        yield connection


def waits_for_a_lock(database_url: str, call: Future[Any]) -> bool:
    """Return True as soon as a statement waits for a lock in this database, or False when the call ends before that."""
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection:
        while not call.done():
            if connection.execute(WAITING).rowcount:
                return True
            time.sleep(0.01)
    return False
