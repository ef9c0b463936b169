"""Security scopes: `segment(.segment)*:access(:key!base64(value),…)`, and which of them covers which."""

import base64
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from auth.core.errors import InvalidRequest, MalformedScope
from auth.core.limits import SCOPE_CHARACTERS, SCOPES_BYTES, SCOPES_PER_REQUEST

_PAIR = r"[\w+-]+![\w+/=]*"
_METADATA = rf"{_PAIR}(?:,{_PAIR})*"
_SCOPE = re.compile(rf"([\w+-]+(?:\.[\w+-]+)*):(read|write)(?::({_METADATA}))?", re.ASCII | re.IGNORECASE)


class Scope(NamedTuple):
    segments: tuple[str, ...]
    access: str  # "read" or "write"
    metadata: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope in its text form. Raises `MalformedScope`."""
        parts = _SCOPE.fullmatch("all:write" if text == "api" else text)  # api: an old name
        if not parts or len(text) > SCOPE_CHARACTERS:
            raise MalformedScope
        path, access, metadata = parts.groups()
        return cls(tuple(path.split(".")), access.lower(), _metadata(metadata) if metadata else frozenset())

    def __str__(self) -> str:
        """The canonical form: access in lower case, metadata sorted by key."""
        return f"{'.'.join(self.segments)}:{self.access}:{_text(sorted(self.metadata))}".removesuffix(":")

    def covered_by(self, other: "Scope") -> bool:
        """Whether `other` grants everything that `self` grants."""
        is_in_all = other.segments[0] == "all" and self.segments[0] != "special"
        is_below = is_in_all or self.segments[: len(other.segments)] == other.segments
        return is_below and other.access in ("write", self.access) and other.metadata <= self.metadata


ALL_WRITE = Scope(("all",), "write")


def parse_all(texts: Sequence[str]) -> list[Scope]:
    """The requested scopes in their order, without repetitions. Raises `MalformedScope`, also for an empty list."""
    if len(texts) > SCOPES_PER_REQUEST or sum(map(len, texts)) > SCOPES_BYTES:
        raise InvalidRequest(f"Ask for at most {SCOPES_PER_REQUEST:,} scopes, of {SCOPES_BYTES:,} bytes together.")
    if not texts:
        raise MalformedScope
    return list(dict.fromkeys(Scope.parse(text) for text in texts))


def all_covered(asked: Iterable[Scope], held: Sequence[Scope]) -> bool:
    return all(any(scope.covered_by(other) for other in held) for scope in asked)


def _metadata(text: str) -> frozenset[tuple[str, str]]:
    pairs = (pair.split("!") for pair in text.split(","))
    try:
        values = {key: base64.b64decode(encoded, validate=True).decode() for key, encoded in pairs}
    except ValueError:
        raise MalformedScope from None
    if _text(values.items()) != text:  # a key occurs twice, or a value has spare bits
        raise MalformedScope
    return frozenset(values.items())


def _text(pairs: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{key}!{base64.b64encode(value.encode()).decode()}" for key, value in pairs)
