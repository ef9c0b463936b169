"""Watches the statements that requests run."""

from collections.abc import Callable

import pytest

from auth.db import Database


def before_each(monkeypatch: pytest.MonkeyPatch, call: Callable[[str], object]) -> None:
    """Call the function with the name of each statement of a request before it runs."""

    def watched(ask: Callable[..., object]) -> Callable[..., object]:
        def asked(db: Database, name: str, /, **parameters: object) -> object:
            if type(db) is Database:  # of a request; `Pool` and `DirectDatabase` are of tests and commands
                call(name)
            return ask(db, name, **parameters)

        return asked

    for method in ("one", "many", "run"):
        monkeypatch.setattr(Database, method, watched(getattr(Database, method)))


def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that run from now on, in order."""
    names = list[str]()
    before_each(monkeypatch, names.append)
    return names
