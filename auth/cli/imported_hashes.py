"""Converts the password hashes of other systems to the spellings that `auth.core.passwords` reads."""

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import click
from passlib.hash import argon2, pbkdf2_sha1, pbkdf2_sha256, scrypt

from auth.core import passwords
from auth.core.passwords import OriginalPbkdf2

REMEDY: Final = 'Or import the user with "!" as the passwordHash, then run `flask users reset-password`.'

# The beginnings of accepted hashes, by system, for the help and for error messages.
TAKEN: Final = {
    "crypt": "$argon2id$ $argon2i$ $argon2d$ $2a$ $2b$ $2y$ $5$ $6$",
    "passlib": "$scrypt$ $pbkdf2$ $pbkdf2-sha256$ $pbkdf2-sha512$",
    "Django": "pbkdf2_sha256$ pbkdf2_sha1$ argon2$ bcrypt$ bcrypt_sha256$ scrypt$",
    "LDAP": "{CRYPT} {ARGON2} {BCRYPT} {PBKDF2} {PBKDF2-SHA1} {PBKDF2-SHA256} {PBKDF2-SHA512} {PBKDF2_SHA256}",
    "Spring": "{bcrypt} {argon2} {argon2@SpringSecurity_v5_8}",
}
# An error message quotes only these beginnings of a refused hash, since the rest may be a secret.
KNOWN: Final = re.compile(
    r"\{(?:S?MD[45]|S?SHA-?\d*|noop|ldap|SASL|CLEAR(?:TEXT)?|CRYPT-\w{2,6}|scrypt|(?:scrypt|pbkdf2)@\w+)\}"
    r"|\$(?:1|2|2x|apr1|md5|sha1|y|gy|P|H|S)\$|(?:md5|unsalted_md5|sha1|unsalted_sha1|crypt)\$|\*",
    re.IGNORECASE,
)
NO_PASSWORD: Final = re.compile(r"!|\*(?![0-9A-F]{40}$)")  # in MySQL, hashes begin with * too
WRAPPER: Final = re.compile(r"^(?:\{(?:crypt|bcrypt|argon2(?:@SpringSecurity_v5_8)?)\}|bcrypt\$|argon2)(?=[$!*])", re.I)
LIBRARIES: Final = ("$argon2", "$2", "$scrypt$", "bcrypt_sha256$")  # some parameters are refused only by a computation
PBKDF2: Final = {"pbkdf2": pbkdf2_sha1, "sha1": pbkdf2_sha1, "sha256": pbkdf2_sha256, "sha512": OriginalPbkdf2}

_accepted = set[tuple[object, ...]]()


def read(fields: dict[str, str]) -> str | None:
    """The hash to store for a user's fields, or None if they mark an unusable password. Raises `ClickException`."""
    convert, refusal = CREDENTIALS.get(tuple(fields)) or CREDENTIALS[()]
    with suppress(Exception):  # the libraries raise errors of many types, and some texts quote the hash
        password_hash = convert(**fields)
        if password_hash is None:
            return None
        excess = passwords.excess(password_hash)
        if not excess:
            return _computable(password_hash)
        refusal = f"The hash costs too much: {excess}."
    raise click.ClickException(f"{refusal or _recognised(**fields)} {REMEDY}")


def _computable(password_hash: str) -> str:
    """Returns the hash unchanged. Verifies one hash of each set of parameters: some libraries refuse them only then."""
    *parameters, salt, key = password_hash.split("$")
    spelling = (*parameters, len(salt), len(key))
    if password_hash.startswith(LIBRARIES) and spelling not in _accepted:
        passwords.verify("", password_hash)
        _accepted.add(spelling)
    return password_hash


def _recognised(password_hash: str) -> str:
    """An error message that names the spelling and never the hash."""
    for start in " ".join(TAKEN.values()).split():
        if password_hash.lower().startswith(start.lower()):
            return f"The passwordHash begins with {password_hash[: len(start)]}, but its rest cannot be read here."
    if known := KNOWN.match(password_hash):
        return f"A passwordHash that begins with {known[0]} cannot be verified here."
    return "The passwordHash has no known spelling; see `flask users import --help`."


def _of_text(password_hash: str) -> str | None:
    unwrapped = WRAPPER.sub("", password_hash, count=1)
    if NO_PASSWORD.match(unwrapped):
        return None
    for pattern, convert in CONVERSIONS.items():
        if found := re.fullmatch(pattern, unwrapped, re.IGNORECASE):
            return convert(*found.groups())
    return unwrapped


def _of_keycloak(credential_data: str, secret_data: str) -> str:
    data, secret = json.loads(credential_data), json.loads(secret_data)
    salt = _decoded(secret["salt"])
    key = _decoded(secret["value"])
    rounds = data["hashIterations"]
    if data["algorithm"] != "argon2":
        return _spelled(PBKDF2[data["algorithm"].removeprefix("pbkdf2-")], salt, key, rounds=rounds)
    given = {name: values[0] for name, values in data["additionalParameters"].items()}
    version = {"1.0": 16, "1.3": 19}[given["version"]]
    costs = {"memory_cost": int(given["memory"]), "rounds": rounds, "parallelism": int(given["parallelism"])}
    return str(argon2(type=given["type"], version=version, salt=salt, checksum=key, **costs).to_string())


def _of_ucloud(hashed_password: str, salt: str) -> str:
    decoded = _decoded(salt)
    if len(decoded) != 16:
        raise ValueError("The salt is not UCloud's.")
    return str(OriginalPbkdf2(rounds=10_000, salt=decoded, checksum=_decoded(hashed_password)).to_string())


def _pbkdf2(brace: str, digest: str | None, rounds: str, salt: str, key: str) -> str:
    """The salt is base64 in directory servers, and text in Django."""
    handler = PBKDF2[(digest or "sha1").lower()]
    return _spelled(handler, _decoded(salt) if brace else salt.encode(), _decoded(key), rounds=int(rounds))


def _of_389(text: str) -> str:
    value = _decoded(text)
    return _spelled(pbkdf2_sha256, value[4:68], value[68:], rounds=int.from_bytes(value[:4], "big"))


def _django_scrypt(n: str, salt: str, r: str, p: str, key: str) -> str:
    costs = {"rounds": [1 << log2 for log2 in range(32)].index(int(n)), "block_size": int(r), "parallelism": int(p)}
    return _spelled(scrypt, salt.encode(), _decoded(key), ident="$scrypt$", **costs)


def _spelled(handler: Any, salt: bytes, key: bytes, **parameters: Any) -> str:
    """Keeps the first 20 or 32 bytes of a longer key: they suffice to verify the password, at a lower cost."""
    return str(handler(salt=salt, checksum=key[: handler.checksum_size], **parameters).to_string())


def _decoded(text: str) -> bytes:
    """Decodes base64, also with `.` instead of `+` and without padding, as passlib and OpenLDAP write it."""
    text = text.rstrip("=").replace(".", "+")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


CONVERSIONS: Final[dict[str, Callable[..., str]]] = {
    r"()pbkdf2_(sha1|sha256)\$(\d+)\$([^$]+)\$([^$]+)": _pbkdf2,
    r"(\{)pbkdf2(?:-(sha1|sha256|sha512))?\}(\d+)\$([^$]+)\$([^$]+)": _pbkdf2,
    r"\{pbkdf2_sha256\}([^$]{432})": _of_389,
    r"scrypt\$(\d+)\$([^$]+)\$(\d+)\$(\d+)\$([^$]+)": _django_scrypt,
}
# The fields of a user, the function that reads them, and its error message. The last row refuses all other fields.
CREDENTIALS: Final[dict[tuple[str, ...], tuple[Callable[..., str | None], str]]] = {
    ("password_hash",): (_of_text, ""),
    ("credential_data", "secret_data"): (_of_keycloak, "Copy both texts unchanged. The algorithms are in --help."),
    ("hashed_password", "salt"): (_of_ucloud, "The salt must be base64 of 16 bytes, the hashedPassword of 32."),
    (): (_of_text, "There must be a passwordHash, or credentialData and secretData, or hashedPassword and salt."),
}
