"""Security scopes: `segment(.segment)*:access(:key!base64(value),…)`, and which of them covers which."""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from auth.core.errors import InvalidRequest, MalformedScope
from auth.core.limits import SCOPE_CHARACTERS, SCOPES_PER_REQUEST

_SEGMENTS = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
_KEY = re.compile(r"[A-Za-z0-9_+-]+")


class Access(StrEnum):
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Scope:
    segments: tuple[str, ...]
    access: Access
    metadata: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope in its text form. Raises `MalformedScope`."""
        if text == "api":  # an old name
            return ALL_WRITE
        path, _, rest = text.partition(":")
        access, colon, metadata = rest.partition(":")
        if len(text) > SCOPE_CHARACTERS or not _SEGMENTS.fullmatch(path) or access.lower() not in _ACCESS:
            raise MalformedScope
        return cls(tuple(path.split(".")), _ACCESS[access.lower()], _metadata(metadata) if colon else frozenset())

    def __str__(self) -> str:
        """The canonical form: access in lower case, metadata sorted by key."""
        text = f"{'.'.join(self.segments)}:{self.access}"
        if not self.metadata:
            return text
        pairs = (f"{key}!{base64.b64encode(value.encode()).decode()}" for key, value in sorted(self.metadata))
        return f"{text}:{','.join(pairs)}"

    def covered_by(self, other: "Scope") -> bool:
        """Whether `other` grants everything that `self` grants."""
        return (
            (other.access is Access.WRITE or self.access is Access.READ)
            and other.metadata <= self.metadata
            and (
                (other.segments[0] == "all" and self.segments[0] != "special")
                or self.segments[: len(other.segments)] == other.segments
            )
        )


_ACCESS = {access.value: access for access in Access}
ALL_WRITE = Scope(("all",), Access.WRITE)


def parse_all(texts: Sequence[str]) -> list[Scope]:
    """The requested scopes in their order, without repetitions. Raises `MalformedScope`, also for an empty list."""
    if len(texts) > SCOPES_PER_REQUEST:
        raise InvalidRequest(f"At most {SCOPES_PER_REQUEST:,} scopes can be asked for at once.")
    if not texts:
        raise MalformedScope
    return list(dict.fromkeys(Scope.parse(text) for text in texts))


def all_covered(asked: Iterable[Scope], held: Sequence[Scope]) -> bool:
    """Whether each of the asked scopes is covered by one that is held."""
    return all(any(scope.covered_by(other) for other in held) for scope in asked)


def narrowed(scopes: Iterable[str], policy: Iterable[str]) -> list[str]:
    """The scopes that the policy covers."""
    held = [Scope.parse(scope) for scope in policy]
    return [scope for scope in scopes if all_covered([Scope.parse(scope)], held)]


def _metadata(text: str) -> frozenset[tuple[str, str]]:
    pairs = [_pair(part) for part in text.split(",")]
    if len({key for key, _ in pairs}) < len(pairs):
        raise MalformedScope
    return frozenset(pairs)


def _pair(text: str) -> tuple[str, str]:
    key, mark, encoded = text.partition("!")
    if not mark or not _KEY.fullmatch(key):
        raise MalformedScope
    try:
        value = base64.b64decode(encoded, validate=True)
        if base64.b64encode(value).decode() != encoded:  # spare bits set: another text for the same value
            raise MalformedScope
        return key, value.decode()
    except (binascii.Error, ValueError):
        raise MalformedScope from None
