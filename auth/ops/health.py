"""livez and readyz: whether this process serves, and whether its database answers."""

from time import monotonic
from typing import Final

from flask import Blueprint

from auth.core.errors import DatabaseUnavailable
from auth.core.models import Unit
from auth.db import SQL_FOLDER
from auth.http.request import Request
from auth.http.responses import Response, json_response

LATEST: Final = max(int(path.stem.partition("_")[0]) for path in (SQL_FOLDER / "migrations").glob("*.sql"))

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def livez(_: Request) -> Response:
    return json_response(Unit())


@blueprint.get("/readyz")
def readyz(request: Request) -> Response:
    request.deadline = monotonic() + 1
    latest = request.db.one("migration_latest")
    if latest is None or latest["version"] < LATEST:
        raise DatabaseUnavailable(cause="not migrated")
    return json_response(Unit())
