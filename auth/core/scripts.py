"""Personal tokens: refresh tokens of people for their own scripts, which are delegations of a person to themselves."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from auth.core.errors import BadRequest, Unauthorized
from auth.core.models import NO_NUL

TOKENS: Final = 100  # the most live ones of a person
PREFIX: Final = "uap_"  # secret scanners look for uap_[A-Za-z0-9_-]{43}


class NewPersonalToken(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_NUL)]
    scopes: Annotated[list[str], Meta(min_length=1)]
    days: Annotated[int, Meta(ge=1, le=366)] = 30


class PersonalToken(Struct, rename="camel"):
    id: str  # the publicSessionReference of its access tokens
    token: str
    scopes: list[str]
    expires_at: int  # milliseconds since the epoch


class TooManyTokens(BadRequest):
    """You have 100 personal tokens. End one of them first."""


class ScopeNotForScripts(Unauthorized):
    """Scopes in 'all', 'auth' and 'special' cannot be given to a personal token."""
