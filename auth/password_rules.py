"""What a new password must be: long enough, and not one that everybody tries first. No composition rules (NIST
SP 800-63B, 3.1.1.2)."""

from functools import cache
from pathlib import Path
from typing import Final

from .limits import PASSWORD_BYTES

CHARACTERS: Final = 8


def problem_with(password: str) -> str | None:
    """What is wrong with a new password, in a sentence, or None."""
    if len(password) < CHARACTERS:
        return f"A password has at least {CHARACTERS} characters."
    if len(password.encode()) > PASSWORD_BYTES:
        return f"A password has at most {PASSWORD_BYTES:,} bytes."
    if password.lower() in _common_passwords():
        return "This is one of the most common passwords."
    return None


@cache
def _common_passwords() -> frozenset[str]:
    lines = (Path(__file__).parent / "common_passwords.txt").read_text().splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
