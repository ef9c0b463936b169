"""Watches the statements that a service runs."""

from collections.abc import Callable

import pytest

from auth.db import DirectDatabase


def before_each(db: DirectDatabase, monkeypatch: pytest.MonkeyPatch, call: Callable[[str], object]) -> None:
    """Call the function with the name of each statement before it runs. Statements of a transaction are left out."""

    def watched(ask: Callable[..., object]) -> Callable[..., object]:
        def asked(name: str, /, **parameters: object) -> object:
            call(name)
            return ask(name, **parameters)

        return asked

    for method in ("one", "many", "run"):
        monkeypatch.setattr(db, method, watched(getattr(db, method)))


def noted(db: DirectDatabase, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that run from now on, in order."""
    names = list[str]()
    before_each(db, monkeypatch, names.append)
    return names
