"""An RPC is declared once. Routing, admission, validation and the OpenAPI document all use the declaration."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import UnionType
from typing import Any, Final, Literal, get_args, get_type_hints

from flask import Blueprint

from auth.core import refresh_tokens
from auth.core.claims import Bearer
from auth.core.errors import InvalidToken, RoleNotAllowed, ScopeNotCovered, SessionTokenNeeded
from auth.core.limits import BODY_BYTES, FORM_BODY_BYTES
from auth.core.models import Role
from auth.core.scopes import ALL_WRITE, Access, Scope, all_covered
from auth.http import cookies
from auth.http.reading import bearer_token, read_body, read_form, read_json, read_query
from auth.http.request import Event, Request, current_request
from auth.http.responses import Response, json_response

PUBLIC: Final = "public"
END_USERS: Final = frozenset({Role.USER, Role.ADMIN})
PRIVILEGED: Final = frozenset({Role.ADMIN, Role.SERVICE})
AUTHENTICATED: Final = END_USERS | PRIVILEGED | {Role.THIRD_PARTY_APP, Role.PROVIDER}
READ: Final = Access.READ
WRITE: Final = Access.WRITE

Handler = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Rpc:
    """An RPC: its route, its callers, and the models of its request and its answer."""

    name: str
    method: str
    path: str
    roles: frozenset[Role] | Literal["public"]
    access: Access | None  # to the scope auth.<name>; None for public calls
    own_session: bool  # an extended or narrowed token is refused with 403
    event: Event | None  # its name in the log
    models: dict[str, Any]  # the annotations of the handler, by parameter; "return" is the model of a success

    @property
    def scope(self) -> Scope | None:
        return None if self.access is None else Scope(("auth", self.name), self.access)


RPCS: Final[dict[str, Rpc]] = {}


def rpc(
    blueprint: Blueprint,
    name: str,
    route: str,
    roles: frozenset[Role] | Literal["public"],
    access: Access | None = None,
    *,
    event: Event | None = None,
    own_session: bool = False,
) -> Callable[[Handler], Handler]:
    """Serve the RPC at `route` ("METHOD /path") by the decorated handler.

    The handler gets the request, the variables of the path, the admitted `bearer`, and what `READERS` has for its
    parameters.
    """

    def decorate(handler: Handler) -> Handler:
        method, path = route.split()
        _register(blueprint, handler, Rpc(
            name=name, method=method, path=path, roles=roles, access=access,
            own_session=own_session, event=event, models=_models(handler),
        ))  # fmt: skip
        return handler

    return decorate


def _register(blueprint: Blueprint, handler: Handler, declared: Rpc) -> None:
    RPCS[declared.name] = declared
    readers = [(part, READERS[part]) for part in declared.models if part in READERS]
    view = partial(_serve, declared, handler, readers)
    blueprint.add_url_rule(declared.path, declared.name, view, methods=[declared.method])


def _serve(declared: Rpc, handler: Handler, readers: list[tuple[str, "Reader"]], **path: str) -> Response:
    request = current_request()
    request.record.event = declared.event
    arguments: dict[str, Any] = {} if declared.access is None else {"bearer": _admitted(request, declared)}
    # Also for calls without a body: a bad body is refused, and no bytes are left on the connection.
    body = read_body(request, FORM_BODY_BYTES if "form" in declared.models else BODY_BYTES)
    for part, read in readers:
        arguments[part] = read(request, body, declared.models[part])
    answer = handler(request, **arguments, **path)
    return answer if isinstance(answer, Response) else json_response(answer)


def _admitted(request: Request, declared: Rpc) -> Bearer:
    token = bearer_token(request)
    if token is None:
        raise InvalidToken
    bearer = request.tokens.verify(token)
    request.record.set_principal(bearer.principal_id, bearer.session_reference, bearer.extended_by_chain)
    if bearer.is_one_time:
        raise InvalidToken
    if bearer.role not in declared.roles:
        raise RoleNotAllowed
    if declared.scope is None or not all_covered([declared.scope], bearer.scopes):
        raise ScopeNotCovered
    if declared.own_session and (bearer.is_extended or ALL_WRITE not in bearer.scopes):
        raise SessionTokenNeeded
    return bearer


def _refresh_token(request: Request, body: bytes, _: Any) -> str:
    refresh_token = bearer_token(request)
    if refresh_token is None:
        raise InvalidToken
    return refresh_token


def _cookie_token(request: Request, body: bytes, _: Any) -> str:
    refresh_token, csrf = cookies.web_credentials(request)
    if not refresh_tokens.is_pair(refresh_token, csrf):
        raise InvalidToken
    return refresh_token


Reader = Callable[[Request, bytes, Any], Any]
READERS: Final[dict[str, Reader]] = {
    "refresh_token": _refresh_token,  # from the Authorization header
    "cookie_token": _cookie_token,  # the refresh token of a web call
    "query": read_query,  # this part of the request, as the annotated model
    "body": read_json,
    "form": read_form,
}


def _models(handler: Handler) -> dict[str, Any]:
    models = get_type_hints(handler)
    if isinstance(models["return"], UnionType):  # a model, or a page for browsers
        models["return"] = get_args(models["return"])[0]
    return models
