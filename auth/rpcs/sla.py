"""sla.find and sla.accept: users read and accept the terms of use."""

from auth.core.second_factor_models import AcceptTermsRequest, Terms, WrongSlaVersion
from auth.http.rpc import END_USERS, Bearer, Blueprint, Request, rpc

blueprint = Blueprint("sla", __name__)


@rpc(blueprint, "sla.find", "GET /api/sla", END_USERS, restricted=True)
def find(request: Request, bearer: Bearer) -> Terms:
    return Terms(**request.live_row("sla_find", **bearer.parameters()))


@rpc(blueprint, "sla.accept", "POST /api/sla/accept", END_USERS, restricted=True)
def accept(request: Request, bearer: Bearer, body: AcceptTermsRequest) -> None:
    if not request.live_row("sla_accept", version=body.version, **bearer.parameters())["is_latest"]:
        raise WrongSlaVersion
