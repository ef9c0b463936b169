"""Password hashing: argon2id by passlib. Bytes are hashed as received: not trimmed, folded or normalised."""

from typing import Final

from passlib.context import CryptContext

# OWASP's Password Storage Cheat Sheet: argon2id with 19 MiB of memory, 2 passes and 1 lane, or more.
ARGON2_MEMORY_KIB: Final = 19 * 1024
ARGON2_PASSES: Final = 2
ARGON2_LANES: Final = 1

_context = CryptContext(
    schemes=["argon2"],
    argon2__type="ID",
    argon2__memory_cost=ARGON2_MEMORY_KIB,
    argon2__time_cost=ARGON2_PASSES,
    argon2__parallelism=ARGON2_LANES,
)


def hash_password(password: str) -> str:
    """The hash to store, with its algorithm, parameters and a random salt."""
    return str(_context.hash(password.encode()))


def verify(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one. Without a hash to compare with it takes as long and is False."""
    if password_hash is None:
        _context.dummy_verify()
        return False
    return bool(_context.verify(password.encode(), password_hash))


_context.dummy_verify()  # makes the hash it compares with, so that the first unknown user takes no longer
