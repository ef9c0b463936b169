"""The portal: files that people see, a link that opens once, and a job that acts for them.

The page signs people in at the authentication service itself. This server gets access tokens only, and verifies them.
"""

import base64
from dataclasses import asdict
from typing import Any

from flask import Flask, Response, render_template, request

from . import jobs
from .auth_service import AuthService

LIST, DOWNLOAD, START_JOB = "files.list:read", "files.download:read", "jobs.start:write"
FILES = {
    "travel-plan.txt": "Day 1: train to the coast.\nDay 2: a walk along the cliffs.\n",
    "bread-recipe.txt": "500 g flour, 350 g water, 10 g salt, and a day of patience.\n",
    "reading-list.txt": "The Name of the Rose\nInvisible Cities\nThe Dispossessed\n",
}


def create_app(auth_url: str, refresh_token: str) -> Flask:
    """The portal for the authentication service at that URL, where it has a refresh token of its own."""
    app = Flask(__name__, static_folder="page", template_folder="page")
    auth = AuthService(auth_url, refresh_token)
    started: list[jobs.Job] = []

    def bearer() -> str:
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def files_of(token: str) -> list[dict[str, Any]]:
        auth.claims(token, LIST)  # a real portal would look up the files of the claims' `sub`
        return [{"name": name, "bytes": len(text)} for name, text in FILES.items()]

    @app.get("/")
    def page() -> str:
        return render_template("index.html", auth=auth.url)

    @app.get("/files")
    def list_files() -> dict[str, Any]:
        return {"files": files_of(bearer())}

    @app.get("/files/<name>")
    def open_file(name: str) -> Response:
        """What a link leads to. Its token is good for this file, and for one use."""
        pair = f"file!{base64.b64encode(name.encode()).decode()}"
        claims = auth.claims(request.args.get("token", ""), f"{DOWNLOAD}:{pair}", one_time=True)
        auth.spend(claims["jti"])
        return Response(FILES.get(name, "There is no such file.\n"), mimetype="text/plain")

    @app.get("/jobs")
    def list_jobs() -> dict[str, Any]:
        owner = auth.claims(bearer(), LIST)["sub"]
        return {"jobs": [asdict(job) for job in reversed(started) if job.owner == owner]}

    @app.post("/jobs")
    def start_job() -> dict[str, Any]:
        auth.claims(bearer(), START_JOB)
        started.append(jobs.start(auth, bearer(), LIST, files_of))
        return asdict(started[-1])

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {auth.url}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if not request.path.startswith("/page/"):
            response.headers["Cache-Control"] = "no-store"
        return response

    return app
