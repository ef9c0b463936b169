"""The portal: files that people see, a link that opens once, and a job that acts for them.

The page signs people in at the authentication service itself. This server gets access tokens only, and verifies them.
"""

import base64
from dataclasses import asdict
from functools import partial
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, render_template, request

from . import jobs
from .auth_service import AuthService

LIST, DOWNLOAD, START_JOB = "files.list:read", "files.download:read", "jobs.start:write"
FILES = {
    "travel-plan.txt": "Day 1: train to the coast.\nDay 2: a walk along the cliffs.\n",
    "bread-recipe.txt": "500 g flour, 350 g water, 10 g salt, and a day of patience.\n",
    "reading-list.txt": "The Name of the Rose\nInvisible Cities\nThe Dispossessed\n",
}

blueprint = Blueprint("portal", __name__)


def create_app(auth_url: str, refresh_token: str) -> Flask:
    """The portal for the authentication service at that URL, where it has a refresh token of its own."""
    app = Flask(__name__, static_folder="page", template_folder="page")
    app.config["AUTH"] = AuthService(auth_url, refresh_token)
    app.config["JOBS"] = []
    app.register_blueprint(blueprint)
    return app


@blueprint.get("/")
def page() -> str:
    return render_template("index.html", auth=auth().url)


@blueprint.get("/files")
def list_files() -> dict[str, Any]:
    return {"files": files_of(auth(), bearer())}


@blueprint.get("/files/<name>")
def open_file(name: str) -> Response:
    """The target of a link. Its token is valid for this file, and for one use."""
    pair = f"file!{base64.b64encode(name.encode()).decode()}"
    claims = auth().claims(request.args.get("token", ""), f"{DOWNLOAD}:{pair}", one_time=True)
    auth().spend(claims["jti"])
    return Response(FILES.get(name, "There is no such file.\n"), mimetype="text/plain")


@blueprint.get("/jobs")
def list_jobs() -> dict[str, Any]:
    owner = auth().claims(bearer(), LIST)["sub"]
    return {"jobs": [asdict(job) for job in reversed(current_app.config["JOBS"]) if job.owner == owner]}


@blueprint.post("/jobs")
def start_job() -> dict[str, Any]:
    auth().claims(bearer(), START_JOB)
    job = jobs.start(auth(), bearer(), LIST, partial(files_of, auth()))
    current_app.config["JOBS"].append(job)
    return asdict(job)


@blueprint.after_app_request
def add_headers(response: Response) -> Response:
    """The page runs its own scripts only, and calls only this server and the authentication service."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "  # data: QR codes
        f"connect-src 'self' {auth().url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def auth() -> AuthService:
    return cast(AuthService, current_app.config["AUTH"])


def bearer() -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def files_of(auth: AuthService, token: str) -> list[dict[str, Any]]:
    """The files of the token's user. A real portal would look them up by the claims' `sub`."""
    auth.claims(token, LIST)
    return [{"name": name, "bytes": len(text)} for name, text in FILES.items()]
