"""Password hashes as other systems spell them, and each of them as `auth.core.passwords` reads it."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from passlib.hash import pbkdf2_sha1, pbkdf2_sha256, pbkdf2_sha512, scrypt

from auth.core import passwords
from auth.core.passwords import OriginalPbkdf2

REMEDY: Final = 'Or import the user with "!" as the passwordHash, then run `flask users reset-password`.'

# What a hash that is taken begins with, for the help and for error messages.
TAKEN: Final = {
    "crypt": "$argon2id$ $argon2i$ $argon2d$ $2a$ $2b$ $2y$ $5$ $6$",
    "passlib": "$scrypt$ $pbkdf2$ $pbkdf2-sha256$ $pbkdf2-sha512$",
    "Django": "pbkdf2_sha256$ pbkdf2_sha1$ argon2$ bcrypt$ bcrypt_sha256$ scrypt$",
    "LDAP": "{CRYPT} {ARGON2} {BCRYPT} {PBKDF2} {PBKDF2-SHA1} {PBKDF2-SHA256} {PBKDF2-SHA512} {PBKDF2_SHA256}",
    "Spring": "{bcrypt} {argon2} {pbkdf2} {scrypt}",
    "Spring 5.8": "{argon2@SpringSecurity_v5_8} {pbkdf2@SpringSecurity_v5_8} {scrypt@SpringSecurity_v5_8}",
}
# Only these words of a hash that is refused are printed, since anything else may be a secret.
KNOWN: Final = re.compile(
    r"\{(?:S?MD[45]|S?SHA-?\d*|noop|ldap|SASL|CLEAR(?:TEXT)?|CRYPT-\w{2,6})\}"
    r"|\$(?:1|2|2x|apr1|md5|sha1|y|gy|P|H|S)\$|(?:md5|unsalted_md5|sha1|unsalted_sha1|crypt)\$|\*",
    re.IGNORECASE,
)
NO_PASSWORD: Final = re.compile(r"!|\*(?![0-9A-F]{40}$)")  # in MySQL, hashes begin with * too
WRAPPER: Final = re.compile(r"^(?:\{(?:crypt|bcrypt|argon2(?:@SpringSecurity_v5_8)?)\}|bcrypt\$|argon2)(?=[$!*])", re.I)
KEYCLOAK: Final = {"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}
PBKDF2: Final = {"sha1": pbkdf2_sha1, "sha256": pbkdf2_sha256, "sha512": pbkdf2_sha512}
LIBRARIES: Final = ("$argon2", "$2", "$scrypt$", "bcrypt_sha256$")  # these refuse some parameters only when computing

_accepted = set[tuple[object, ...]]()


def read(text: str) -> str | None:
    """The hash to store, or None for the mark of an unusable password. Raises `ClickException`."""
    unwrapped = WRAPPER.sub("", text, count=1)
    if NO_PASSWORD.match(unwrapped):
        return None
    with _refusing(_recognised(text)):
        for pattern, convert in CONVERSIONS.items():
            if found := re.fullmatch(pattern, unwrapped, re.IGNORECASE):
                return _checked(convert(*found.groups()))
        return _checked(unwrapped)


def read_keycloak(credential_data: str, secret_data: str) -> str:
    """The hash to store for the two texts of a credential as Keycloak exports them. Raises `ClickException`."""
    with _refusing("Copy Keycloak's credentialData and secretData as they are, of one of the algorithms in the help."):
        data, secret = json.loads(credential_data), json.loads(secret_data)
        salt, key = _decoded(secret["salt"]), _decoded(secret["value"])
        if data["algorithm"] != "argon2":
            return _checked(_pbkdf2(KEYCLOAK[data["algorithm"]], data["hashIterations"], salt, key))
        given = {name: values[0] for name, values in data["additionalParameters"].items()}
        version = {"1.0": 16, "1.3": 19}[given["version"]]
        costs = f"m={int(given['memory'])},t={data['hashIterations']},p={int(given['parallelism'])}"
        return _checked(f"$argon2{given['type']}$v={version}${costs}${_encoded(salt)}${_encoded(key)}")


@contextmanager
def _refusing(message: str) -> Iterator[None]:
    """Any error becomes this message: the libraries have errors of many kinds, and some of them quote the hash."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception:
        raise click.ClickException(f"{message} {REMEDY}") from None


def _checked(password_hash: str) -> str:
    """The same. Computes one for each set of parameters. Raises `ClickException` above the ceiling."""
    if excess := passwords.excess(password_hash):
        raise click.ClickException(f"The hash costs too much: {excess}. {REMEDY}")
    *parameters, salt, key = password_hash.split("$")
    spelling = (*parameters, len(salt), len(key))
    if password_hash.startswith(LIBRARIES) and spelling not in _accepted:
        passwords.verify("", password_hash)
        _accepted.add(spelling)
    return password_hash


def _recognised(text: str) -> str:
    """An error message that names the spelling and never the hash."""
    for start in " ".join(TAKEN.values()).split():
        if text.lower().startswith(start.lower()):
            return f"The passwordHash begins with {text[: len(start)]}, but its rest cannot be read. Export it again."
    if known := KNOWN.match(text):
        return f"A passwordHash that begins with {known[0]} cannot be verified here."
    return "The passwordHash has no known spelling; see `flask users import --help`."


def _pbkdf2(digest: str | None, rounds: object, salt: bytes, key: bytes) -> str:
    """Keeps the first block of a longer key: it proves the password, and more blocks would only cost more."""
    handler = PBKDF2[(digest or "sha1").lower()]
    if handler is pbkdf2_sha512 and len(key) < handler.checksum_size:
        handler = OriginalPbkdf2
    return str(handler(rounds=int(str(rounds)), salt=salt, checksum=key[: handler.checksum_size]).to_string())


def _scrypt(n: int, r: int, p: int, salt: bytes, key: bytes) -> str:
    """Keeps the first 32 bytes of the key, which are a block of PBKDF2 as well."""
    if n != 1 << n.bit_length() - 1:
        raise ValueError("N must be a power of two.")
    return f"$scrypt$ln={n.bit_length() - 1},r={r},p={p}${_encoded(salt)}${_encoded(key[: scrypt.checksum_size])}"


def _of_389(text: str) -> str:
    value = _decoded(text)
    return _pbkdf2("sha256", int.from_bytes(value[:4], "big"), value[4:68], value[68:])


def _spring_scrypt(cost: str, salt: str, key: str) -> str:
    packed = int(cost, 16)
    return _scrypt(1 << (packed >> 16), packed >> 8 & 255, packed & 255, _decoded(salt), _decoded(key))


def _decoded(text: str) -> bytes:
    """Base64, also with a dot for the plus and without padding, as passlib and OpenLDAP write it."""
    text = text.rstrip("=").replace(".", "+")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")


CONVERSIONS: Final[dict[str, Callable[..., str]]] = {
    r"pbkdf2_(sha1|sha256)\$(\d+)\$([^$]+)\$([^$]+)": lambda digest, rounds, salt, key: _pbkdf2(
        digest, rounds, salt.encode(), _decoded(key)
    ),
    r"\{pbkdf2(?:-(sha1|sha256|sha512))?\}(\d+)\$([^$]+)\$([^$]+)": lambda digest, rounds, salt, key: _pbkdf2(
        digest, rounds, _decoded(salt), _decoded(key)
    ),
    r"\{pbkdf2_sha256\}([^$]{432})": _of_389,
    # Spring writes neither the digest nor the rounds. These are its defaults.
    r"\{pbkdf2\}([0-9a-f]{16})([0-9a-f]{64})": lambda salt, key: _pbkdf2(
        "sha1", 185_000, bytes.fromhex(salt), bytes.fromhex(key)
    ),
    r"\{pbkdf2@SpringSecurity_v5_8\}([0-9a-f]{32})([0-9a-f]{64})": lambda salt, key: _pbkdf2(
        "sha256", 310_000, bytes.fromhex(salt), bytes.fromhex(key)
    ),
    r"\{scrypt(?:@SpringSecurity_v5_8)?\}\$([0-9a-f]{1,6})\$([^$]+)\$([^$]+)": _spring_scrypt,
    r"scrypt\$(\d+)\$([^$]+)\$(\d+)\$(\d+)\$([^$]+)": lambda n, salt, r, p, key: _scrypt(
        int(n), int(r), int(p), salt.encode(), _decoded(key)
    ),
}
