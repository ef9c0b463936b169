"""An RPC is declared once. Routing, admission, validation and the OpenAPI document all use the declaration."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import UnionType
from typing import Any, Final, Literal, get_args

import msgspec
from flask import Blueprint

from auth.core import errors
from auth.core.claims import Bearer
from auth.core.limits import BODY_BYTES, MODEL_BODY_BYTES
from auth.core.models import Role, Unit
from auth.core.scopes import ALL_WRITE, Scope
from auth.http import cookies, reading
from auth.http.request import Request, current_request
from auth.http.responses import Response, json_response

__all__ = ["AUTHENTICATED", "END_USERS", "PRIVILEGED", "PUBLIC", "RPCS", "Bearer", "Blueprint", "Request", "rpc"]

PUBLIC: Final = "public"
END_USERS: Final = frozenset({Role.USER, Role.ADMIN})  # only with a token of their own session, else 403
PRIVILEGED: Final = frozenset({Role.ADMIN, Role.SERVICE})
AUTHENTICATED: Final = END_USERS | PRIVILEGED | {Role.THIRD_PARTY_APP, Role.PROVIDER}

Handler = Callable[..., Any]


@dataclass(eq=False)
class rpc:  # noqa: N801 - a decorator
    """Declares an RPC: its route ("METHOD /path") and its callers; the annotations of the handler are its models.

    The handler gets the request, the variables of the path, the admitted `bearer`, and the parameters of `READERS`.
    """

    blueprint: Blueprint
    name: str  # its scope is auth.<name>:read for a GET, else auth.<name>:write; outside of /auth without `auth.`
    route: str
    roles: frozenset[Role] | Literal["public"]
    event: str | None = None  # its name in the log
    body_bytes: int = MODEL_BODY_BYTES  # the longest body, where the handler takes one
    restricted: bool = False  # whether END_USERS also have a token of those who must add a second factor first

    def __call__(self, handler: Handler) -> Handler:
        self.method, self.path = self.route.split()
        prefix = ("auth",) if self.path.startswith("/auth") else ()
        self.scope = Scope((*prefix, *self.name.split(".")), "read" if self.method == "GET" else "write")
        returned = handler.__annotations__["return"] or Unit
        self.answers = get_args(returned) if isinstance(returned, UnionType) else (returned,)  # Response: a page
        self.models = handler.__annotations__ | {"return": self.answers[0]}  # by parameter
        for model in self.models.values():
            msgspec.json.Decoder(model)  # prepares the model: msgspec crashes where two threads are the first to use it
        self.readers = {part: read for part, read in READERS.items() if part in self.models}
        RPCS[self.name] = self
        endpoint = self.name.replace(".", ":")  # a blueprint takes no dot
        self.blueprint.add_url_rule(self.path, endpoint, partial(self._serve, handler), methods=[self.method])
        return handler

    def _serve(self, handler: Handler, **path: str) -> Response:
        request = current_request()
        request.event = self.event
        arguments: dict[str, Any] = {} if self.roles == PUBLIC else {"bearer": self.admitted(request)}
        # Also for calls without a body: a bad body is refused, and no bytes are left on the connection.
        body = reading.read_body(request, self.body_bytes if {"body", "form"} & self.models.keys() else BODY_BYTES)
        for part, read in self.readers.items():
            arguments[part] = read(request, body, self.models[part])
        answer = handler(request, **arguments, **path)
        return answer if isinstance(answer, Response) else json_response(answer or Unit())

    def admitted(self, request: Request) -> Bearer:
        """The bearer of a call, checked before anything else is read. Raises `Unauthorized` or `SessionTokenNeeded`."""
        bearer = request.tokens.verify(reading.bearer_token(request))
        request.record.set_principal(bearer.principal_id, bearer.session_reference or None, bearer.extended_by_chain)
        if bearer.is_one_time:
            raise errors.InvalidToken
        if bearer.role not in self.roles:
            raise errors.RoleNotAllowed
        if not any(map(self.scope.covered_by, bearer.scopes)):
            raise errors.ScopeNotCovered
        is_whole = ALL_WRITE in bearer.scopes or (self.restricted and bearer.is_restricted)
        if self.roles == END_USERS and (bearer.is_extended or not is_whole):
            raise errors.SessionTokenNeeded
        return bearer


RPCS: Final[dict[str, rpc]] = {}
READERS: Final[dict[str, Handler]] = {
    "refresh_token": reading.bearer_token,
    "cookie_token": cookies.refresh_token,
    "idempotency_key": reading.idempotency_key,
    "query": reading.read_query,  # this and the next two: a part of the request as the annotated model
    "body": reading.read_json,
    "form": reading.read_form,
}
