"""The rules for a new password: its length, and zxcvbn's score. No composition rules (NIST SP 800-63B-4, 3.1.1.2)."""

import re
import threading
from typing import Final

from zxcvbn import matching, zxcvbn

from auth.core.errors import PasswordTooEasy, PasswordTooLong, PasswordTooShort
from auth.core.limits import PASSWORD_BYTES
from auth.core.passwords import Places

CHARACTERS: Final = 15  # NIST SP 800-63B-4, 3.1.1.2: where a password is the only factor
SCORED_CHARACTERS: Final = 64  # zxcvbn's time grows with the square of the length
WAITING: Final = 8  # the most calls that wait for a score or compute it; each takes a thread
SCORE: Final = 3  # zxcvbn gives 0 to 4; 3 means at least 10^8 guesses

# zxcvbn tries each combination of l33t characters, 3 ms each. Above 4, rare ones become digits for the same letters.
_MOST_COMBINATIONS: Final = 4
_LEET_TO_DIGIT: Final = str.maketrans("@{[<!|$+", "4(((1157")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # zxcvbn raises an error for a newline after digits
_WORDS: Final = re.compile(r"[^\W\d_]{3,}")

_scoring = threading.Lock()  # zxcvbn keeps the user's own words in a global dictionary
_queue: Final = Places(WAITING)


def check(password: str, *own_texts: str | None) -> None:
    """Raises an error for the rule that is broken, and `LoginBusy`. `own_texts`: the user's id, e-mail and names."""
    if len(password) < CHARACTERS:
        raise PasswordTooShort
    if len(password.encode()) > PASSWORD_BYTES:
        raise PasswordTooLong
    with _queue, _scoring:
        if _score(_CONTROL.sub("", password)[:SCORED_CHARACTERS], *filter(None, own_texts)) < SCORE:
            raise PasswordTooEasy


def _score(scored: str, *own_texts: str) -> int:
    own_words = [word for text in own_texts for word in (text, *_WORDS.findall(text))]
    try:
        letters = matching.relevant_l33t_subtable(scored, matching.L33T_TABLE)
        if len(matching.enumerate_l33t_subs(letters)) > _MOST_COMBINATIONS:
            scored, *own_words = (text.translate(_LEET_TO_DIGIT) for text in (scored, *own_words))
        return int(zxcvbn(scored, own_words)["score"])
    except Exception as fault:  # zxcvbn has faults with some texts
        raise PasswordTooEasy("This password cannot be scored. Choose another.", cause=type(fault).__name__) from None
