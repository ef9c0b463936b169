"""livez and readyz: whether this process serves, and whether its database does."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from flask import Blueprint, Response

from .current import db
from .db import Row
from .errors import DatabaseUnavailable
from .migrations import all_migrations
from .models import Unit
from .responses import json_response

READY_SECONDS: Final = 1.0

blueprint = Blueprint("health", __name__)
_asking = ThreadPoolExecutor(1, "readyz")  # a connection attempt may take longer than an answer here


@blueprint.get("/livez")
def livez() -> Response:
    """200 for as long as the process answers; asks nobody else."""
    return json_response(Unit())


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 when the database answers within a second and has every migration, else 503."""
    latest = _latest_migration()
    if latest is None or latest["version"] != all_migrations()[-1].version:
        raise DatabaseUnavailable
    return json_response(Unit())


def _latest_migration() -> Row | None:
    asked = _asking.submit(db().one, "migration_latest")
    try:
        return asked.result(READY_SECONDS)
    except TimeoutError:
        asked.cancel()
        raise DatabaseUnavailable from None
