"""A door: an endpoint in the dialect of OAuth 2.0, which calls the functions of the RPCs."""

from collections.abc import Callable
from typing import Any

from auth.core import oauth
from auth.core.errors import ApiError, Unauthorized
from auth.http.request import Request
from auth.http.responses import Response
from auth.http.rpc import Rpc


class Door(Rpc):
    """Its errors have the codes of both dialects."""

    def _serve(self, handler: Callable[..., Any], request: Request, **path: str) -> Response:
        try:
            return super()._serve(handler, request, **path)
        except ApiError as error:
            code = next(code for code, kinds in oauth.CODES.items() if isinstance(error, kinds))
            if isinstance(error, Unauthorized) and "access_token" in self.models:
                code = "invalid_token"  # RFC 6750, 3.1
            elif isinstance(error, Unauthorized):
                error.status, error.headers = 400, {}  # RFC 6749, 5.2: 401 is for clients
            error.fields = {"error": code, "error_description": error.why}
            raise
