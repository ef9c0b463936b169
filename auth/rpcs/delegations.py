"""listDelegations, invalidateDelegation and invalidateDelegations: users list and end their delegations."""

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.errors import NoSuchDelegation
from auth.core.models import Delegation, Page, PageRequest
from auth.http.own_tokens import end_one, page_of
from auth.http.request import Request
from auth.http.rpc import END_USERS, Rpc

blueprint = Blueprint("delegations", __name__)


@Rpc(blueprint, "listDelegations", "GET /auth/delegations", END_USERS, own_session=True)
def list_delegations(request: Request, bearer: Bearer, query: PageRequest) -> Page[Delegation]:
    return page_of(request, "delegation_list", bearer, query, Delegation)


@Rpc(blueprint, "invalidateDelegations", "DELETE /auth/delegations", END_USERS, "revocation", own_session=True)
def invalidate_delegations(request: Request, bearer: Bearer) -> None:
    request.live_row("delegation_delete_all", **bearer.parameters())
    request.db.run("principal_mark_ended", id=bearer.principal_id)


@Rpc(
    blueprint,
    "invalidateDelegation",
    "DELETE /auth/delegations/<delegation_id>",
    END_USERS,
    "revocation",
    own_session=True,
)
def invalidate_delegation(request: Request, bearer: Bearer, delegation_id: str) -> None:
    end_one(request, "delegation_delete", bearer, delegation_id, NoSuchDelegation)
