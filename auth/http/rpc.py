"""An RPC is declared once. Routing, admission, validation and the OpenAPI document all use the declaration."""

import re
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
from auth.http.request import Request
from auth.http.responses import Response, json_response

PUBLIC: Final = "public"
USERS: Final = frozenset({Role.USER, Role.ADMIN})
PRIVILEGED: Final = frozenset({Role.ADMIN, Role.SERVICE})
AUTHENTICATED: Final = USERS | PRIVILEGED | {Role.THIRD_PARTY_APP, Role.PROVIDER}


@dataclass(eq=False)
class Rpc:
    """Declares an RPC: its route ("METHOD /path") and its callers; the annotations of the handler are its models.

    The handler gets the request, the variables of the path, the admitted `bearer`, and the parameters of `READERS`.
    """

    blueprint: Blueprint
    name: str  # its scope is auth.<name>:read for a GET, else auth.<name>:write; outside of /auth without `auth.`
    route: str
    roles: frozenset[Role] | Literal["public"]
    event: str | None = None  # the event's name in the log
    body_bytes: int = MODEL_BODY_BYTES  # the longest body, where the handler takes one
    own_session: bool = False  # only with a token of the user's own session and all:write, else 403
    other_methods: tuple[str, ...] = ()  # further HTTP methods of the route
    restricted: bool = False  # own_session, and also with a token of those who must add a second factor first

    def __call__(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        self.method, self.path = self.route.split()
        prefix = ("auth",) if self.path.startswith("/auth") else ()
        self.scope = Scope((*prefix, *self.name.split(".")), "read" if self.method == "GET" else "write")
        returned = handler.__annotations__["return"] or Unit
        self.answers = get_args(returned) if isinstance(returned, UnionType) else (returned,)  # Response: a page
        self.models = handler.__annotations__ | {"return": self.answers[0]}  # by parameter
        for model in self.models.values():
            msgspec.json.Decoder(model)  # prepares the model: msgspec crashes where two threads are the first to use it
        self.limit = self.body_bytes if reading.BODIES.keys() & self.models.keys() else BODY_BYTES
        self.readers = {part: read for part, read in READERS.items() if part in self.models}
        bearer = [] if self.roles == PUBLIC else ["bearer"]
        expected = {"request", *bearer, *self.readers, *re.findall("<(.+?)>", self.path), "return"}
        if self.models.keys() != expected:
            raise TypeError(f"{self.name} cannot get the parameters {self.models.keys() ^ expected}")
        RPCS[self.name] = self
        endpoint = self.name.replace(".", ":")  # a blueprint takes no dot
        methods = [self.method, *self.other_methods]
        self.blueprint.add_url_rule(self.path, endpoint, partial(self._serve, handler), methods=methods)
        return handler

    def _serve(self, handler: Callable[..., Any], request: Request, **path: str) -> Response:
        request.event = self.event
        arguments: dict[str, Any] = {} if self.roles == PUBLIC else {"bearer": self.admitted(request)}
        # Also for calls without a body: a bad body is refused, and no bytes are left on the connection.
        body = reading.read_body(request, self.limit)
        for part, read in self.readers.items():
            arguments[part] = read(request, body, self.models[part])
        answer = handler(request, **arguments, **path)
        return answer if isinstance(answer, Response) else json_response(answer or Unit())

    def admitted(self, request: Request, access_token: str | None = None) -> Bearer:
        """The bearer of a call, checked before anything else is read. Raises `Unauthorized` or `SessionTokenNeeded`."""
        bearer = request.tokens.verify(access_token or reading.bearer_token(request))
        request.set_principal(bearer.principal_id, bearer.session_reference or None, bearer.extended_by_chain)
        if bearer.is_one_time:
            raise errors.InvalidToken
        if bearer.role not in self.roles:
            raise errors.RoleNotAllowed
        if not any(map(self.scope.covered_by, bearer.scopes)):
            raise errors.ScopeNotCovered
        is_whole = ALL_WRITE in bearer.scopes or (self.restricted and bearer.is_restricted)
        if self.own_session and (bearer.is_extended or not is_whole):
            raise errors.SessionTokenNeeded
        return bearer


RPCS: Final[dict[str, Rpc]] = {}
READERS: Final[dict[str, Callable[..., Any]]] = {
    "access_token": reading.bearer_token,
    "refresh_token": reading.bearer_token,
    "cookie_token": cookies.refresh_token,
    "idempotency_key": reading.idempotency_key,
    "query": reading.read_query,  # from here on: a part of the request as the annotated model
    **{part: partial(reading.read_model, media_types) for part, media_types in reading.BODIES.items()},
}
