"""The RPCs as a client calls them, over the WSGI app or over a socket to a running server."""

import base64
import http.client
import ipaddress
import json
import secrets
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, cast
from urllib.parse import quote, quote_plus, urlencode

from flask import Flask

from auth.core.models import CommonErrorMessage
from auth.http.request import Request
from auth.service import Service

Headers = Mapping[str, str]
COOKIE = "__Host-refreshToken"


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def cookies(self) -> SimpleCookie:
        cookies: SimpleCookie = SimpleCookie()
        for key, value in self.headers:
            if key.lower() == "set-cookie":
                cookies.load(value)
        return cookies

    def refused(self, status: int, error_code: str | None = None) -> "Answer":
        """Assert that this is an error of the contract's form with that status and code; returns itself."""
        assert self.status == status, (self.status, self.body)
        fields = {field.replace("error_code", "errorCode") for field in CommonErrorMessage.__struct_fields__}
        assert set(self.json) == fields | ({"error", "error_description"} if "error" in self.json else set())
        assert self.json["why"]
        assert self.header("Content-Type") == "application/json"
        if error_code is not None:
            assert self.json["errorCode"] == error_code
        return self

    def ok(self) -> Any:
        """Assert that this is a success; its JSON."""
        assert self.status == 200, (self.status, self.body)
        return self.json


Send = Callable[[str, str, Headers, bytes | None], Answer]


def any_address() -> str:
    """An address that no other test has, so that its wrong guesses count in no other test."""
    return str(ipaddress.IPv4Address(secrets.randbits(32) | 1))


def request_class(app: Flask) -> type[Request]:
    """The class of the app's requests, whose attributes are the parts of the service."""
    return cast(Service, app).requests


def send_to_app(app: Flask, address: str) -> Send:
    """Calls the WSGI app, as from that network address."""

    def send(method: str, path: str, headers: Headers, body: bytes | None) -> Answer:
        response = app.test_client(use_cookies=False).open(
            path, method=method, headers=dict(headers), data=body, environ_base={"REMOTE_ADDR": address}
        )
        return Answer(response.status_code, list(response.headers), response.get_data())

    return send


def send_to_server(port: int, address: str | None = None, timeout: float = 30) -> Send:
    """Calls a server on this machine, over a connection for each request; as a proxy would, for that address."""

    def send(method: str, path: str, headers: Headers, body: bytes | None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            forwarded = {"X-Forwarded-For": address} if address else {}
            connection.request(method, path, body, {**forwarded, **headers})
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    return send


class Api:
    def __init__(self, send: Send) -> None:
        self.send = send

    def call(
        self,
        method: str,
        path: str,
        bearer: str | None = None,
        *,
        json_body: Any = None,
        data: bytes | None = None,
        **headers: str | None,
    ) -> Answer:
        """One request; header names are given with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if json_body is not None:
            data = json.dumps(json_body).encode()
            sent.setdefault("Content-Type", "application/json")
        return self.send(method, path, sent, data)

    def login(self, username: str, password: str, service: str, **headers: str | None) -> Answer:
        form = {"username": username, "password": password, "service": service}
        headers = {"Accept": "application/json", "Content_Type": "application/x-www-form-urlencoded", **headers}
        return self.call("POST", "/auth/login", data=urlencode(form).encode(), **headers)

    def refresh(self, refresh_token: str | None) -> Answer:
        return self.call("POST", "/auth/refresh", refresh_token)

    def web_refresh(self, cookie: str | None, csrf: str | None, origin: str | None) -> Answer:
        return self._web("/auth/refresh/web", cookie, csrf, origin)

    def logout(self, refresh_token: str | None) -> Answer:
        return self.call("POST", "/auth/logout", refresh_token)

    def web_logout(self, cookie: str | None, csrf: str | None, origin: str | None) -> Answer:
        return self._web("/auth/logout/web", cookie, csrf, origin)

    def bulk_invalidate(self, bearer: str | None, tokens: list[str]) -> Answer:
        return self.call("POST", "/auth/logout/bulk", bearer, json_body={"tokens": tokens})

    def request_one_time_token(self, bearer: str | None, audience: str) -> Answer:
        return self.call("POST", f"/auth/request?audience={quote(audience, safe='')}", bearer)

    def claim(self, bearer: str | None, jti: str, key: str | None = None) -> Answer:
        return self.call("POST", f"/auth/claim?jti={quote(jti, safe='')}", bearer, Idempotency_Key=key)

    def extend(
        self, bearer: str | None, valid_jwt: str, *scopes: str, expires_in: Any = 60_000, refreshes: bool | None = None
    ) -> Answer:
        request = {"validJWT": valid_jwt, "requestedScopes": scopes, "expiresIn": expires_in}
        if refreshes is not None:
            request["allowRefreshes"] = refreshes
        return self.call("POST", "/auth/extend", bearer, json_body=request)

    def sessions(self, bearer: str | None, query: str = "") -> Answer:
        return self.call("GET", f"/auth/sessions{query}", bearer)

    def invalidate_sessions(self, bearer: str | None) -> Answer:
        return self.call("DELETE", "/auth/sessions", bearer)

    def invalidate_session(self, bearer: str | None, session_id: str) -> Answer:
        return self.call("DELETE", f"/auth/sessions/{quote(session_id, safe='')}", bearer)

    def delegations(self, bearer: str | None, query: str = "") -> Answer:
        return self.call("GET", f"/auth/delegations{query}", bearer)

    def invalidate_delegation(self, bearer: str | None, delegation_id: str) -> Answer:
        return self.call("DELETE", f"/auth/delegations/{quote(delegation_id, safe='')}", bearer)

    def invalidate_delegations(self, bearer: str | None) -> Answer:
        return self.call("DELETE", "/auth/delegations", bearer)

    def change_password(self, bearer: str | None, current: Any, new: Any) -> Answer:
        return self.call("POST", "/auth/password", bearer, json_body={"currentPassword": current, "newPassword": new})

    def reset_password(self, token: Any, new: Any) -> Answer:
        return self.call("POST", "/auth/password/reset", json_body={"resetToken": token, "newPassword": new})

    def create_credentials(self, bearer: str | None) -> Answer:
        return self.call("POST", "/auth/2fa", bearer)

    def answer_challenge(
        self, challenge: Any, code: Any, bearer: str | None = None, password: Any = None, **headers: str | None
    ) -> Answer:
        body = {"challengeId": challenge, "verificationCode": code}
        body |= {} if password is None else {"currentPassword": password}
        origin, accept = headers.get("Origin"), headers.get("Accept", "application/json")
        return self.call("POST", "/auth/2fa/challenge", bearer, json_body=body, Accept=accept, Origin=origin)

    def two_factor_status(self, bearer: str | None) -> Answer:
        return self.call("GET", "/auth/2fa/status", bearer)

    def remove_credentials(self, bearer: str | None, password: Any, code: Any) -> Answer:
        body = {"currentPassword": password, "verificationCode": code}
        return self.call("POST", "/auth/2fa/remove", bearer, json_body=body)

    def find_sla(self, bearer: str | None) -> Answer:
        return self.call("GET", "/api/sla", bearer)

    def accept_sla(self, bearer: str | None, version: Any) -> Answer:
        return self.call("POST", "/api/sla/accept", bearer, json_body={"version": version})

    def create_personal_token(self, bearer: str | None, *scopes: Any, title: Any = "a script", **days: Any) -> Answer:
        return self.call("POST", "/auth/tokens", bearer, json_body={"title": title, "scopes": scopes, **days})

    def form(self, path: str, client: tuple[str, str] | None = None, **parameters: str) -> Answer:
        """A call of a door, with the id and the secret of a client in a Basic header."""
        basic = client and base64.b64encode(":".join(quote_plus(text) for text in client).encode()).decode()
        return self.call(
            "POST",
            path,
            data=urlencode(parameters).encode(),
            Content_Type="application/x-www-form-urlencoded",
            Authorization=basic and f"Basic {basic}",
        )

    def token(self, grant_type: str, client: tuple[str, str] | None = None, **parameters: str) -> Answer:
        return self.form("/auth/oauth/token", client, grant_type=grant_type, **parameters)

    def introspect(self, client: tuple[str, str] | None, token: str) -> Answer:
        return self.form("/auth/oauth/introspect", client, token=token)

    def revoke(self, token: str) -> Answer:
        return self.form("/auth/oauth/revoke", token=token)

    def verify(self, bearer: str | None, scope: str | None = None) -> Answer:
        query = "" if scope is None else f"?scope={quote(scope, safe='')}"
        return self.call("GET", f"/auth/verify{query}", bearer)

    def jwks(self) -> Any:
        return self.call("GET", "/.well-known/jwks.json").ok()

    def _web(self, path: str, cookie: str | None, csrf: str | None, origin: str | None) -> Answer:
        sent = None if cookie is None else f"{COOKIE}={cookie}"
        return self.call("POST", path, Cookie=sent, X_CSRFToken=csrf, Origin=origin)


def most_of(count: int, call: Callable[[int], Answer]) -> int:
    """The largest number, below `count`, with which the call is not refused as a request that is not valid."""
    return bisect_left(range(1, count), True, key=lambda number: call(number).status == 400)
