"""One declaration an RPC: it routes, guards and validates, and is what the documentation is made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Literal

from flask import Blueprint, Response
from msgspec import Struct

from . import audit, cookies, refresh_tokens
from .current import tokens
from .errors import InvalidToken, RoleNotAllowed, ScopeNotCovered, SessionTokenNeeded
from .limits import BODY_BYTES, FORM_BODY_BYTES
from .models import Role
from .requests import bearer_token, read_body, read_form, read_json, read_query
from .responses import json_response
from .scopes import ALL_WRITE, Access, Scope, all_covered
from .tokens import Bearer

PUBLIC: Final = "public"
END_USERS: Final = frozenset({Role.USER, Role.ADMIN})
PRIVILEGED: Final = frozenset({Role.ADMIN, Role.SERVICE})
AUTHENTICATED: Final = END_USERS | PRIVILEGED | {Role.THIRD_PARTY_APP, Role.PROVIDER}

Credential = Literal["access token", "refresh token", "refresh cookie", "password"]
Handler = Callable[..., Struct | Response]


@dataclass(frozen=True, kw_only=True)
class Rpc:
    """What an RPC takes, gives, and whom it lets in. What decides who gets in, and what is
    written down of it, has no default: somebody must say."""

    name: str
    method: Literal["GET", "POST", "DELETE"]
    path: str
    roles: frozenset[Role] | Literal["public"]
    credential: Credential
    event: audit.Event | None  # what the audit log calls it
    access: Access | None = None  # of the scope auth.<name>; None for public calls
    response: Any  # the model of a success
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    form: type[Struct] | None = None  # url-encoded, multipart or JSON
    own_session: bool = False  # whether an extended or narrowed token is refused with 403
    errors: tuple[int, ...]

    @property
    def scope(self) -> Scope | None:
        return None if self.access is None else Scope(("auth", self.name), self.access)

    def register(self, blueprint: Blueprint) -> Callable[[Handler], Handler]:
        """Serve the RPC by the decorated handler, which gets what was declared: `bearer` or `refresh_token`, then
        `query`, `body` or `form`."""

        def decorate(handler: Handler) -> Handler:
            @wraps(handler)
            def view(**path: str) -> Response:
                audit.record().event = self.event
                answer = handler(**_arguments(self), **path)
                return answer if isinstance(answer, Response) else json_response(answer)

            blueprint.add_url_rule(self.path, self.name, view, methods=[self.method])
            RPCS[self.name] = self
            return handler

        return decorate


RPCS: Final[dict[str, Rpc]] = {}


def _arguments(rpc: Rpc) -> Mapping[str, Any]:
    arguments: dict[str, Any] = {}
    if rpc.credential == "access token":
        arguments["bearer"] = _admit(rpc)
    # Also where none is asked for: a bad one is refused, and none is left on the connection.
    body = read_body(BODY_BYTES if rpc.form is None else FORM_BODY_BYTES)
    if rpc.credential == "refresh token":
        arguments["refresh_token"] = _presented()
    if rpc.credential == "refresh cookie":
        arguments["refresh_token"] = _paired()
    if rpc.query is not None:
        arguments["query"] = read_query(rpc.query)
    if rpc.body is not None:
        arguments["body"] = read_json(body, rpc.body)
    if rpc.form is not None:
        arguments["form"] = read_form(body, rpc.form)
    return arguments


def _presented() -> str:
    refresh_token = bearer_token()
    if refresh_token is None:
        raise InvalidToken
    return refresh_token


def _paired() -> str:
    refresh_token, csrf = cookies.web_credentials()
    if not refresh_tokens.is_pair(refresh_token, csrf):
        raise InvalidToken
    return refresh_token


def _admit(rpc: Rpc) -> Bearer:
    token = bearer_token()
    if token is None:
        raise InvalidToken
    bearer = tokens().verify(token)
    audit.who(bearer.principal_id, bearer.session_reference, bearer.extended_by_chain)
    if bearer.is_one_time:
        raise InvalidToken
    if bearer.role not in rpc.roles:
        raise RoleNotAllowed
    if rpc.scope is None or not all_covered([rpc.scope], bearer.scopes):
        raise ScopeNotCovered
    if rpc.own_session and (bearer.is_extended or ALL_WRITE not in bearer.scopes):
        raise SessionTokenNeeded
    return bearer
