"""What the id of a principal looks like, and what it tells."""

import unicodedata

from .limits import ID_CHARACTERS

SERVICE_PREFIX = "_"
PROVIDER_PREFIX = "#P_"


def is_id(text: str) -> bool:
    """Whether the text can be the id of anything: 1 to 255 characters, none of them a control or a surrogate."""
    return 1 <= len(text) <= ID_CHARACTERS and not any(unicodedata.category(c) in ("Cc", "Cs") for c in text)


def is_person_id(text: str) -> bool:
    """Whether the text can be the id of a person."""
    return is_id(text) and not text.startswith((SERVICE_PREFIX, PROVIDER_PREFIX))


def is_service_id(text: str) -> bool:
    """Whether the text can be the id of a service."""
    return is_id(text) and text.startswith(SERVICE_PREFIX) and not text.startswith(SERVICE_PREFIX * 2)
