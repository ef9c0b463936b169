"""sla.find and sla.accept: users read and accept the terms of use."""

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.second_factor_models import AcceptTermsRequest, Terms, WrongSlaVersion
from auth.http.request import Request
from auth.http.rpc import USERS, Rpc

blueprint = Blueprint("sla", __name__)


@Rpc(blueprint, "sla.find", "GET /api/sla", USERS, own_session=True, restricted=True)
def find(request: Request, bearer: Bearer) -> Terms:
    return Terms(**request.live_row("sla_find", **bearer.parameters()))


@Rpc(blueprint, "sla.accept", "POST /api/sla/accept", USERS, own_session=True, restricted=True)
def accept(request: Request, bearer: Bearer, body: AcceptTermsRequest) -> None:
    if not request.live_row("sla_accept", version=body.version, **bearer.parameters())["is_latest"]:
        raise WrongSlaVersion
