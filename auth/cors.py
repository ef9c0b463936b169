"""Cross-origin calls: the pages of trusted origins, and no others, may read what `/auth` answers, errors included."""

from typing import Final

from flask import Flask, Response, request

from .current import config
from .origins import origin_of

PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-CSRFToken, X-Request-Id",
    "Access-Control-Max-Age": "600",
}


def allow_trusted_origins(app: Flask) -> None:
    """Tell browsers which pages may call, and keep caches from giving one page's permission to another."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        if not request.path.startswith("/auth/"):
            return response
        response.vary.add("Origin")
        origin = request.headers.get("Origin", "")
        if origin_of(origin) in config().trusted_origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Access-Control-Expose-Headers"] = "Retry-After, X-Request-Id"
            if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
                response.headers.update(PREFLIGHT)
        return response
