"""Watches the statements that requests run."""

from collections.abc import Callable

import pytest

from auth.pool import RequestDatabase


def before_each(monkeypatch: pytest.MonkeyPatch, call: Callable[[str], object]) -> None:
    """Call the function with the name of each statement before it runs. Statements of a transaction are left out."""

    def watched(ask: Callable[..., object]) -> Callable[..., object]:
        def asked(db: RequestDatabase, name: str, /, **parameters: object) -> object:
            call(name)
            return ask(db, name, **parameters)

        return asked

    for method in ("one", "many", "run"):
        monkeypatch.setattr(RequestDatabase, method, watched(getattr(RequestDatabase, method)))


def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that run from now on, in order."""
    names = list[str]()
    before_each(monkeypatch, names.append)
    return names
