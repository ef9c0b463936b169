"""A user's own sessions and delegations: a page of their list, and the end of one of them."""

import re

from auth.core.claims import Bearer
from auth.core.errors import ApiError
from auth.core.models import DEFAULT_PAGE_SIZE, PAGE_SIZES, Item, Page, PageRequest
from auth.http.request import Request

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def page_of(request: Request, statement: str, bearer: Bearer, query: PageRequest, item: type[Item]) -> Page[Item]:
    """The page of the statement's rows that the query asks for. Raises `InvalidToken` when the grant has ended."""
    size = query.items_per_page if query.items_per_page in PAGE_SIZES else DEFAULT_PAGE_SIZE
    number = max(query.page, 0)
    page = request.live_row(statement, items_per_page=size, offset=number * size, **bearer.parameters())
    return Page(page["items_in_total"], size, number, [item(**fields) for fields in page["items"]])


def end_one(request: Request, statement: str, bearer: Bearer, text: str, missing: type[ApiError]) -> None:
    """End the session or delegation with that UUID, in its canonical spelling only. Raises `missing`."""
    session_reference = text if _UUID.fullmatch(text) else None
    if not request.live_row(statement, session_reference=session_reference, **bearer.parameters())["was_there"]:
        raise missing
    request.details |= {"ended": text, "revoked": 1}
