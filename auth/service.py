"""The way of a request: route, view, log, response."""

from functools import lru_cache
from typing import Any
from wsgiref.types import StartResponse

from flask import Flask
from werkzeug.exceptions import MethodNotAllowed, NotFound

from auth.core import errors
from auth.http.request import Request
from auth.http.responses import HTML, Response, error_response
from auth.ops.request_log import log_request


class Service(Flask):
    """Uses Flask's blueprints and URL map. A request gets no Flask context and no hook: see docs/architecture.md."""

    def __init__(self, name: str, requests: type[Request]) -> None:
        super().__init__(name, static_folder=None)
        self.requests = requests
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # `_answer` answers OPTIONS
        self.url_map.merge_slashes = False  # `//auth/login` is not found: no redirect
        self._match = lru_cache(256)(self.url_map.bind("").match)

    def wsgi_app(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        request = self.requests(environ)
        try:
            response: Response = self._answer(request)
        except Exception as error:
            response = error_response(request, error)
        log_request(request, response)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Any:
        try:
            request.endpoint, variables = self._match(request.path, request.method)
        except NotFound:
            raise errors.NotFound from None
        except MethodNotAllowed as refusal:
            allow = ", ".join(sorted({*(refusal.valid_methods or ()), "OPTIONS"}))
            if request.method == "OPTIONS":
                return Response(b"", {**HTML, "Allow": allow})
            raise errors.MethodNotAllowed(headers={"Allow": allow}) from None
        return self.view_functions[request.endpoint](request, **variables)
