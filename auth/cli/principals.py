"""The rules for what an operator may call and write of a principal."""

from auth.core.claims import is_id
from auth.core.limits import ID_CHARACTERS, NAME_CHARACTERS


def is_person_id(text: str) -> bool:
    return is_id(text) and not text.startswith(("_", "#P_"))


def is_service_id(text: str) -> bool:
    return is_id(text) and text.startswith("_") and not text.startswith("__")


def problem_with_texts(first_names: str, last_name: str, *optional: str | None) -> str | None:
    """An error message if a name, e-mail or organisation is unacceptable, else None."""
    if not 1 <= len(first_names) <= NAME_CHARACTERS or not 1 <= len(last_name) <= NAME_CHARACTERS:
        return f"A name has 1 to {NAME_CHARACTERS} characters."
    if any(text is not None and not is_id(text) for text in (first_names, last_name, *optional)):
        return f"Names, e-mail and organisation have no control character, and 1 to {ID_CHARACTERS} characters."
    return None
