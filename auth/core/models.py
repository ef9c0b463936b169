"""The data models of the API: what clients send and receive."""

from enum import StrEnum
from typing import Annotated, Final, Generic, TypeVar

from msgspec import Meta, Struct, field

from auth.core.limits import ID_CHARACTERS, PASSWORD_BYTES

PAGE_SIZES: Final = (10, 25, 50, 100, 250)
DEFAULT_PAGE_SIZE: Final = 50
NO_NUL: Final = r"^[^\x00]*$"  # PostgreSQL cannot store NUL

Item = TypeVar("Item", bound=Struct)
Name = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS, pattern=NO_NUL)]

Password = Annotated[str, Meta(min_length=1, max_length=PASSWORD_BYTES)]  # `check_length` counts its bytes too


class Role(StrEnum):
    GUEST = "GUEST"
    USER = "USER"
    ADMIN = "ADMIN"
    SERVICE = "SERVICE"
    THIRD_PARTY_APP = "THIRD_PARTY_APP"
    PROVIDER = "PROVIDER"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> "Role":
        return cls.UNKNOWN


class CommonErrorMessage(Struct, rename="camel"):
    why: str
    error_code: str | None


class Unit(Struct):
    pass


class Page(Struct, Generic[Item], rename="camel"):
    items_in_total: int
    items_per_page: int
    page_number: int
    items: list[Item]


class AccessToken(Struct, rename="camel"):
    access_token: str


class AccessTokenAndCsrf(AccessToken, rename="camel"):
    csrf_token: str


class OptionalAuthenticationTokens(AccessToken, rename="camel"):
    csrf_token: str | None
    refresh_token: str | None


class OneTimeAccessToken(AccessToken):
    jti: str


class Session(Struct, rename="camel"):
    ip_address: str
    user_agent: str
    created_at: int  # milliseconds since the epoch
    last_used_at: int  # when it last refreshed, exact to `USE_SECONDS`; at first `created_at`
    id: str  # the publicSessionReference of its access tokens
    current: bool  # whether it is the caller's own


class Delegation(Struct, rename="camel"):
    id: str  # the publicSessionReference of its access tokens
    extended_by: str
    extended_by_chain: list[str]
    scopes: list[str]
    created_at: int  # milliseconds since the epoch
    last_used_at: int | None  # when it last refreshed, exact to `USE_SECONDS`
    expires_at: int
    title: str | None  # None unless it is a personal token


class PasswordLoginRequest(Struct):
    username: Name
    password: Password
    service: Name


class ChangePasswordRequest(Struct, rename="camel"):
    current_password: Password
    new_password: str


class ResetPasswordRequest(Struct, rename="camel"):
    reset_token: str
    new_password: str


class BulkInvalidateRequest(Struct):
    tokens: list[str]


class ClaimOneTimeToken(Struct):
    jti: Name


class RequestOneTimeToken(Struct):
    audience: str


class PageRequest(Struct, rename="camel"):
    items_per_page: int = DEFAULT_PAGE_SIZE  # a size that is not in `PAGE_SIZES` counts as the default
    page: Annotated[int, Meta(le=2**31 - 1)] = 0  # a negative page counts as 0, as in the original


class TokenExtensionRequest(Struct, rename="camel"):
    valid_jwt: str = field(name="validJWT")
    requested_scopes: list[str]
    expires_in: int  # milliseconds
    allow_refreshes: bool | None = None
