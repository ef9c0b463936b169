"""A resource server. It verifies tokens by the published keys alone, and calls back only to spend a one-time token.

It needs AUTH, the address of the authentication service, and the refresh token of a service of its own.
"""

import json
import os
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import jwt
from flask import Flask, abort, request

AUTH, REFRESH_TOKEN = os.environ["AUTH"], os.environ["DEMO_REFRESH_TOKEN"]

app = Flask(__name__)
keys = jwt.PyJWKClient(f"{AUTH}/.well-known/jwks.json")  # fetched every five minutes, or sooner for an unknown key


def claims_of(token: str, *scopes: str) -> dict[str, Any]:
    """The claims of a token that has one of the scopes; any other token is 401."""
    try:
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer="cloud.sdu.dk",
            leeway=5,
            audience=scopes,
            options={"require": ["exp", "iat", "sub", "role"]},
        )
    except jwt.PyJWKClientConnectionError:
        abort(503)
    except jwt.PyJWTError:
        abort(401)


@app.get("/files")
def files() -> dict[str, Any]:
    claims = claims_of(request.headers.get("Authorization", "").removeprefix("Bearer "), "files:read", "all:write")
    if "jti" in claims:  # a one-time token: this call does not claim it
        abort(401)
    return {"owner": claims["sub"], "files": ["thesis.pdf"]}


@app.get("/download")
def download() -> str:
    """The target of a link with a one-time token: the link works once."""
    claims = claims_of(request.args.get("token", ""), "files.download:read")
    if "jti" not in claims:
        abort(401)
    try:
        _, minted = post("/auth/refresh", REFRESH_TOKEN)  # a busy server would keep this access token for ten minutes
        status, _ = post(f"/auth/claim?jti={quote(claims['jti'], safe='')}", minted["accessToken"])
    except (OSError, ValueError, KeyError):  # the service is unavailable, or a proxy answers in its place
        abort(503)
    if status != 200:  # 409 is final; after any other error the link may still work
        abort(409 if status == 409 else 503)
    return "the content of thesis.pdf\n"


def post(path: str, token: str) -> tuple[int, dict[str, Any]]:
    """The status and the JSON that the authentication service answers."""
    asked = Request(AUTH + path, method="POST", headers={"Authorization": f"Bearer {token}"})
    try:
        answer = urlopen(asked, timeout=10)
    except HTTPError as error:
        answer = error
    with answer:
        return answer.status, json.load(answer)
