"""The claims of an access token."""

import unicodedata
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field, to_builtins

from auth.core import second_factor
from auth.core.limits import ID_CHARACTERS
from auth.core.models import Role
from auth.core.scopes import Scope

Uid = Annotated[int, Meta(ge=1, le=2**63 - 1)]  # PostgreSQL's bigint; 0 would be a missing claim in `uid or None`
Seconds = Annotated[float, Meta(ge=0, le=2**40)]  # since the epoch; PostgreSQL cannot store a much later time


class Bearer(Struct, rename="camel", frozen=True, dict=True):
    """The claims of a verified access token. Only the database knows whether the grant behind the token lives."""

    iss: str
    principal_id: str = field(name="sub")
    iat: Seconds
    exp: Seconds
    role: Role
    aud: list[str]
    nbf: Seconds = 0
    uid: Uid | UnsetType = UNSET
    jti: str | UnsetType = UNSET
    session_reference: UUID | UnsetType = field(name="publicSessionReference", default=UNSET)
    extended_by: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    extended_by_chain: list[str] = []
    two_factor_authentication: bool = True
    extended_from: UUID | UnsetType = UNSET  # the delegation behind a token that is not stored

    @cached_property
    def scopes(self) -> list[Scope]:
        """What the token allows. Raises `MalformedScope`."""
        return [Scope.parse(text) for text in self.aud]

    @property
    def grant_reference(self) -> UUID | None:
        """The `publicSessionReference` of the stored token whose end also ends this one, or None."""
        return self.session_reference or self.extended_from or None

    @property
    def is_one_time(self) -> bool:
        return self.jti is not UNSET

    @property
    def is_restricted(self) -> bool:
        return self.aud == second_factor.RESTRICTED and not self.two_factor_authentication

    @property
    def is_extended(self) -> bool:
        return self.extended_by is not UNSET or bool(self.extended_by_chain)

    @property
    def provenance(self) -> dict[str, Any]:
        """The claims that a token made from this one gets too: its session, and the services that extended it."""
        kept = ("publicSessionReference", "extendedBy", "extendedByChain", "extendedFrom")
        return {name: claim for name, claim in to_builtins(self).items() if name in kept}

    def parameters(self, name: str = "bearer") -> dict[str, Any]:
        """Parameters of a statement. `not_after` limits tokens made from this one; if None, the stored token does."""
        return {
            f"{name}_id": self.principal_id,
            f"{name}_uid": self.uid or None,
            f"{name}_grant_reference": self.grant_reference,
            f"{name}_issued_at": int(self.iat),
            f"{name}_not_after": self.exp if self.is_extended and not self.session_reference else None,
        }


def identity(principal: Mapping[str, Any], second_factor_required: Collection[str]) -> dict[str, Any]:
    """The claims that describe a row of `principal`, None where it has NULL; names and the like for people only."""
    claims = {"role": principal["role"], "uid": principal["uid"], "principalType": principal["principal_type"]}
    if principal["principal_type"] in ("password", "wayf"):
        claims |= {
            "firstNames": principal["first_names"],
            "lastName": principal["last_name"],
            "email": principal["email"],
            "orgId": principal["org_id"],
            **second_factor.claims(principal, second_factor_required),
        }
    return claims


def is_id(text: str) -> bool:
    """Whether the text can be an id: 1 to `ID_CHARACTERS` characters, none of them a control or a surrogate."""
    return 1 <= len(text) <= ID_CHARACTERS and not any(unicodedata.category(c) in ("Cc", "Cs") for c in text)
