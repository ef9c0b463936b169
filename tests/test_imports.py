"""`users import`: hashes of other systems, of absurd cost, and of no known spelling."""

import base64
import codecs
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import argon2, bcrypt, pbkdf2_sha256, pbkdf2_sha512, scrypt, sha256_crypt, sha512_crypt

from auth.cli.user_import import HELP
from auth.core import passwords
from auth.core.limits import NAME_CHARACTERS, PASSWORD_BYTES

from .support.api import Api
from .support.command_line import CommandLine
from .support.servers import PROJECT
from .support.world import PASSWORD, World

REMEDY = "flask users reset-password"
NOBODY = "nobody@example.org"

OLD = "pässwörd of old"
SALT = b"0123456789abcdef"


def base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def pbkdf2(digest: str, rounds: int, size: int, salt: bytes = SALT) -> bytes:
    return hashlib.pbkdf2_hmac(digest, OLD.encode(), salt, rounds, size)


def keycloak(algorithm: str, rounds: int, salt: bytes | str, key: bytes | str, **parameters: str) -> dict[str, str]:
    """A credential as Keycloak exports it: two texts of JSON."""
    salt, key = (value if isinstance(value, str) else base64_of(value) for value in (salt, key))
    more = {name: [value] for name, value in parameters.items()}
    data = {"hashIterations": rounds, "algorithm": algorithm, "additionalParameters": more}
    secret = {"value": key, "salt": salt, "additionalParameters": {}}
    return {"credentialData": json.dumps(data), "secretData": json.dumps(secret)}


def argon2_of_keycloak(kind: str = "id", memory: str = "7168") -> dict[str, str]:
    """What Keycloak 26 stored for the password "secret"."""
    salt, key = "LRScGShC7shkdoU5B1UgUQ==", "xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80="
    parameters = {"hashLength": "32", "memory": memory, "type": kind, "version": "1.3", "parallelism": "1"}
    return keycloak("argon2", 5, salt, key, **parameters)


SHA512_CRYPT = "$6$saltstring$Mb3V16MneUYh6HwX1cCVrTc0g4y.WYwynzsxWiY/9Q7shIQQAkTUpq1g7ak6yXQgk69gEKIRSxRQE8PHOtm5t0"
SHA256_CRYPT = "$5$saltstring$6s1jXOFd9FGGdziQLEyiX8JcYcuiPGcYGYHGoFLRtR."
BCRYPT = "$2y$05$abcdefghijklmnopqrstuuRaF.6zH.odnwbwi/h81GoGQ8JBlo0EO"
SPRING_BCRYPT = "$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG"
SPRING_SCRYPT = (
    "$e0801$8bWJaSu2IKSn9Z9kM+TPXfOc/9bdYSrN1oD9qfVThWEwdRTnO7re7Ei+fUZRJ68k9lTyuTeUp4of4g24hHnazw=="
    "$OAOec05+bXxvuu/1qZ6NUR+xQYvYv7BeL1QxwRpY5Pc="
)
SPRING_PBKDF2 = "5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508fbf17fa4ed4d6b99ca763d8dc"
ARGON2 = "$argon2id$v=19$m=65536,t=2,p=1$IyTQMsvzB2JHDiWx8fq7Ew$VhYOA7AL0kbRXI5g2kOyyp8St1epkNj7WZyUY4pAIQQ"
OLD_389 = (
    "AAAnEGTxXtnR/oox922/jZyjH6fmiIdW4AwIYZE2LfCVL/SUz5GbAHfjRj4NbN2u8ul0/j/dUzJ4gQSawGALGHZV74nOAtPttoZDTsh7BeGCLD/P"
    "s7vRugwDdz9uPARXzF3bD/8qCpumvRGb4pehzfQsk+FnGgTwi0rUeVaN8a7Kbv8ZpRfU2sd+208F/YL42BWAh/2tv0I4vY7ZsrCZcrUJtgKWy5Nr"
    "+t78zmPkrZsX/kgfnGdXhr50kN10cmkLQ0/cZOXo9CAkpeZyFu+wQ5vQdUaES2Vd5kBjJYPCkr4b2ocr4ETQi3IGO2GGCoCetmMIETsudRVSxUNB"
    "bva+Vgxin5Apu4wIP/0ZyuGK6TuWLqLnNpmK3RkRx0xjqJ4nN2Ok0ul0XYBJcYIBt4UoaVM2uSa/Etw28Uy+zAsUv2AOiRo5"
)
DJANGO_SCRYPT = "ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw=="
HEX_OF_SHA256 = hashlib.sha256(OLD.encode()).hexdigest()

# What each system stored for a password. Those of PASSWORD and OLD were made here by hashlib and passlib, those of libc
# by crypt(3), and the others are in the documentation and the tests of Django, Spring Security, Keycloak and 389-DS.
TAKEN: dict[str, tuple[str, str | dict[str, str]]] = {
    "argon2d": (OLD, argon2.using(type="D", memory_cost=1024, time_cost=2, parallelism=2).hash(OLD)),
    "argon2i": (OLD, argon2.using(type="I", memory_cost=1024, time_cost=2, parallelism=1).hash(OLD)),
    "argon2id": ("password", ARGON2),
    "bcrypt 2a": ("password", SPRING_BCRYPT),
    "bcrypt 2b": (OLD, bcrypt.using(rounds=4).hash(OLD)),
    "bcrypt 2y": ("gammel nøgle", BCRYPT),
    "scrypt": (OLD, scrypt.using(rounds=4).hash(OLD)),
    "pbkdf2": (
        OLD,
        f"$pbkdf2$1000${base64_of(SALT)[:-2]}${base64_of(pbkdf2('sha1', 1000, 20))[:-1].replace('+', '.')}",
    ),
    "pbkdf2-sha256": (OLD, pbkdf2_sha256.using(rounds=1000).hash(OLD)),
    "pbkdf2-sha512": (OLD, pbkdf2_sha512.using(rounds=1000).hash(OLD)),
    "sha256_crypt": ("gammel nøgle", SHA256_CRYPT),
    "sha512_crypt": ("gammel nøgle", SHA512_CRYPT),
    "Django pbkdf2_sha256": ("lètmein", "pbkdf2_sha256$1000000$seasalt$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps="),
    "Django pbkdf2_sha1": ("lètmein", "pbkdf2_sha1$260000$seasalt$XXHk2gQ7tjWIyrS320RXXsGqkUg="),
    "Django argon2": ("password", f"argon2{ARGON2}"),
    "Django bcrypt": ("password", f"bcrypt${SPRING_BCRYPT}"),
    "Django bcrypt_sha256": (OLD, f"bcrypt_sha256${bcrypt.using(rounds=4).hash(HEX_OF_SHA256)}"),
    "Django scrypt": ("lètmein", f"scrypt$16384$seasalt$8$5${DJANGO_SCRYPT}"),
    "Spring bcrypt": ("password", f"{{bcrypt}}{SPRING_BCRYPT}"),
    "Spring argon2": ("password", f"{{argon2}}{ARGON2}"),
    "Spring argon2 5.8": ("password", f"{{argon2@SpringSecurity_v5_8}}{ARGON2}"),
    "LDAP CRYPT": ("gammel nøgle", f"{{CRYPT}}{SHA512_CRYPT}"),
    "LDAP crypt": ("gammel nøgle", f"{{crypt}}{BCRYPT}"),
    "LDAP BCRYPT": ("password", f"{{BCRYPT}}{SPRING_BCRYPT}"),
    "LDAP ARGON2": ("password", f"{{ARGON2}}{ARGON2}"),
    "LDAP PBKDF2": ("password", "{PBKDF2}10000$IlfapjA351LuDSwYC0IQ8Q$saHqQTuYnjJN/tmAndT.8mJt.6w"),
    "LDAP PBKDF2-SHA1": ("password", "{PBKDF2-SHA1}10000$IlfapjA351LuDSwYC0IQ8Q==$saHqQTuYnjJN/tmAndT+8mJt+6w="),
    "LDAP PBKDF2-SHA256": (
        "password",
        "{PBKDF2-SHA256}10000$henZGfPWw79Cs8ORDeVNrQ$1dTJy73v6n3bnTmTZFghxHXHLsAzKaAy8SksDfZBPIw",
    ),
    "LDAP PBKDF2-SHA512": (
        "password",
        "{PBKDF2-SHA512}10000$Je1Uw19Bfv5lArzZ6V3EPw"
        "$g4T/1sqBUYWl9o93MVnyQ/8zKGSkPbKaXXsT8WmysXQJhWy8MRP2JFudSL.N9RklQYgDPxPjnfum/F2f/TrppA",
    ),
    "389-DS PBKDF2_SHA256": ("Password123", f"{{PBKDF2_SHA256}}{OLD_389}"),
    "Keycloak pbkdf2": (OLD, keycloak("pbkdf2", 20_000, SALT, pbkdf2("sha1", 20_000, 64))),
    "Keycloak pbkdf2-sha256": (OLD, keycloak("pbkdf2-sha256", 27_500, SALT, pbkdf2("sha256", 27_500, 64))),
    "Keycloak pbkdf2-sha256 32": (OLD, keycloak("pbkdf2-sha256", 27_500, SALT, pbkdf2("sha256", 27_500, 32))),
    "Keycloak pbkdf2-sha512": (OLD, keycloak("pbkdf2-sha512", 210_000, SALT, pbkdf2("sha512", 210_000, 64))),
    "Keycloak pbkdf2-sha512 32": (OLD, keycloak("pbkdf2-sha512", 5, SALT, pbkdf2("sha512", 5, 32))),
    "Keycloak argon2": ("secret", argon2_of_keycloak()),
}


def person(password: str | dict[str, str]) -> dict[str, Any]:
    hashed = password if isinstance(password, dict) else {"passwordHash": password}
    return {"id": f"import-{secrets.token_hex(8)}", "role": "USER", "firstNames": "A", "lastName": "B", **hashed}


class File:
    """A file to import."""

    def __init__(self, flask: CommandLine, path: Path) -> None:
        self.flask = flask
        self.path = path

    def write(self, *people: dict[str, Any]) -> None:
        self.path.write_text("".join(f"{json.dumps(each)}\n" for each in people))

    def load(self, *people: dict[str, Any]) -> str:
        """Import them; the text that the command printed."""
        self.write(*people)
        finished = self.flask.run("users", "import", str(self.path))
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def refused(self, *people: dict[str, Any]) -> str:
        self.write(*people)
        return self.flask.fails("users", "import", str(self.path))


@pytest.fixture
def file(flask: CommandLine, tmp_path: Path) -> File:
    return File(flask, tmp_path / "users.jsonl")


@pytest.mark.parametrize("system", TAKEN)
def test_a_user_of_another_system_logs_in_with_the_old_password(
    file: File, api: Api, world: World, system: str
) -> None:  # fmt: skip
    password, stored = TAKEN[system]
    user, service = person(stored), world.login_service()
    file.load(user)
    api.login(user["id"], f"{password}z", service).refused(401)
    api.login(user["id"], password, service).ok()
    assert world.password_hash(user["id"]).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def prefix(password_hash: str) -> str:
    """The part of a hash by which its spelling is recognised."""
    found = re.match(r"\{[^}]+\}|\$?[^$]+\$", password_hash)
    assert found is not None
    return found[0]


def test_the_help_lists_what_is_taken_and_nothing_else() -> None:
    listed = set(re.findall(r"\{[\w@-]+\}|\$?[\w-]+\$", HELP))
    assert listed - {"$7$"} == {prefix(each) for _, each in TAKEN.values() if isinstance(each, str)} - {"{crypt}"}
    algorithms = {
        json.loads(each["credentialData"])["algorithm"] for _, each in TAKEN.values() if isinstance(each, dict)
    }
    assert all(algorithm in HELP for algorithm in algorithms)


MARKS = ["!", "!!", "*", "!*", "*LK*", "*NP*", f"!{SHA512_CRYPT}", "{CRYPT}!", "{crypt}*", f"{{CRYPT}}!{SHA512_CRYPT}"]
MARKS += [f"!{{SSHA}}{base64_of(SALT)}", "!Tq5xUP0Lt7Eta5rXYbEVjsGr9xQlN0p2JzQ8dZ7k"]


def test_a_mark_of_an_unusable_password_is_no_password(file: File, api: Api, world: World) -> None:
    people, service = [person(mark) for mark in MARKS], world.login_service()
    printed = file.load(*people, person(SHA256_CRYPT))
    assert printed == f"imported {len(MARKS) + 1} users, {len(MARKS)} of them without a password\n"
    for user, mark in zip(people, MARKS, strict=True):
        for guess in ("gammel nøgle", mark):
            api.login(user["id"], guess, service).refused(401)
    token = file.flask.json("users", "reset-password", people[0]["id"])["resetToken"]
    assert api.reset_password(token, PASSWORD).status == 200
    api.login(people[0]["id"], PASSWORD, service).ok()


FOREIGN = {
    "{SSHA}": f"{{SSHA}}{base64_of(b'hunter2' * 4)}",
    "{ssha}": f"{{ssha}}{base64_of(b'hunter2' * 4)}",
    "{SSHA512}": f"{{SSHA512}}{base64_of(b'hunter2' * 10)}",
    "{MD5}": "{MD5}hunter2==",
    "{noop}": "{noop}hunter2",
    "{SHA-256}": "{SHA-256}hunter2",
    "{SASL}": "{SASL}hunter2@example.org",
    "$1$": "$1$abc$hunter2",
    "$apr1$": "$apr1$abc$hunter2",
    "$y$": "$y$j9T$hunter2$hunter2",
    "$P$": "$P$Bhunter2",
    "md5$": "md5$salt$hunter2",
    "sha1$": "sha1$salt$hunter2",
    "*": f"*{'2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'}",
    "{CRYPT}": "{CRYPT}hunter2hunte",
    "$2x$": bcrypt.using(rounds=4).hash("hunter2").replace("$2b$", "$2x$"),
    "pbkdf2_sha256$": "pbkdf2_sha256$1000$hunter2",
    "bcrypt$": "bcrypt$hunter2",
    "bcrypt_sha256$": "bcrypt_sha256$$2b$12$hunter2",
    "argon2$": "argon2$argon2id$v=19$hunter2",
    "{PBKDF2-SHA256}": "{PBKDF2-SHA256}10000$hunter2",
    "{PBKDF2_SHA256}": "{PBKDF2_SHA256}hunter2",
    "{pbkdf2}": f"{{pbkdf2}}{SPRING_PBKDF2}",
    "{pbkdf2@SpringSecurity_v5_8}": f"{{pbkdf2@SpringSecurity_v5_8}}{SPRING_PBKDF2}",
    "{scrypt}": f"{{scrypt}}{SPRING_SCRYPT}",
    "{scrypt@SpringSecurity_v5_8}": f"{{scrypt@SpringSecurity_v5_8}}{SPRING_SCRYPT}",
    "scrypt$": "scrypt$16383$hunter2$8$5$" + DJANGO_SCRYPT,
    "$6$": "$6$rounds=5000$hunter2",
    "$argon2id$": "$argon2id$v=19$m=1",
    "--help": "hunter2hunter2",
    "users import --help": "hunter2$hunter2$hunter2",
}


@pytest.mark.parametrize("spelling", FOREIGN)
def test_a_hash_that_cannot_be_verified_is_refused_with_what_to_do(file: File, spelling: str) -> None:
    told = file.refused(person(SHA256_CRYPT), person(FOREIGN[spelling]))
    assert told.startswith("Error: line 2: ")
    assert spelling in told
    assert REMEDY in told
    assert "hunter2" not in told
    assert FOREIGN[spelling].rpartition("$")[2] not in told
    assert "2470C0C0" not in told


DATA, SECRET = (argon2_of_keycloak()[name] for name in ("credentialData", "secretData"))


@pytest.mark.parametrize(
    "fields",
    [
        {"credentialData": DATA},
        {"secretData": SECRET},
        {"credentialData": DATA, "secretData": SECRET, "passwordHash": "!"},
        {"credentialData": "{", "secretData": SECRET},
        {"credentialData": DATA, "secretData": "hunter2"},
        {"credentialData": DATA, "secretData": '{"value": "hunter2"}'},
        {"credentialData": DATA, "secretData": SECRET.replace("==", "!!hunter2")},
        argon2_of_keycloak(kind="hunter2"),
        argon2_of_keycloak(memory="-1"),
        argon2_of_keycloak(memory="1,keyid=aaaa"),
        keycloak("argon2", 5, SALT, SALT),
        keycloak("pbkdf2-sha256", 0, SALT, pbkdf2("sha256", 1, 64)),
        keycloak("pbkdf2-sha256", -1, SALT, pbkdf2("sha256", 1, 64)),
        keycloak("pbkdf2-sha256", 1000, SALT, pbkdf2("sha256", 1, 31)),
        keycloak("bcrypt", 10, "", "hunter2"),
        {"passwordHash": ""},
        {},
    ],
)  # fmt: skip
def test_a_credential_of_keycloak_that_cannot_be_verified_is_refused(file: File, fields: dict[str, str]) -> None:
    told = file.refused(person(SHA256_CRYPT), person(fields))
    assert told.startswith("Error: line 2: ")
    assert REMEDY in told
    assert "hunter2" not in told


def crypt_at(rounds: int, ident: str = "6") -> str:
    return (SHA512_CRYPT if ident == "6" else SHA256_CRYPT).replace(f"${ident}$", f"${ident}$rounds={rounds}$")


def argon2_at(memory: int, passes: int, lanes: int = 1) -> str:
    return ARGON2.replace("m=65536,t=2,p=1", f"m={memory},t={passes},p={lanes}")


def bcrypt_at(cost: int) -> str:
    return SPRING_BCRYPT.replace("$10$", f"${cost:02}$")


def scrypt_at(log2_n: int, r: int, p: int) -> str:
    return f"$scrypt$ln={log2_n},r={r},p={p}$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"


# The hash, its cost as the message names it, and the ceiling.
ABSURD: dict[str, tuple[str | dict[str, str], str, str]] = {
    "shadow 4.9": (crypt_at(999_999_999), "999,999,999 rounds", "700,000"),
    "sha512_crypt": (crypt_at(700_001), "700,001 rounds", "700,000"),
    "sha256_crypt": (crypt_at(700_001, "5"), "700,001 rounds", "700,000"),
    "LDAP": (f"{{CRYPT}}{crypt_at(999_999_999)}", "999,999,999 rounds", "700,000"),
    "bcrypt": (bcrypt_at(14), "14", "13"),
    "bcrypt 31": (bcrypt_at(31), "31", "13"),
    "Spring bcrypt": (f"{{bcrypt}}{bcrypt_at(16)}", "16", "13"),
    "Django bcrypt": (f"bcrypt${bcrypt_at(31)}", "31", "13"),
    "Django bcrypt_sha256": (f"bcrypt_sha256${bcrypt_at(14)}", "14", "13"),
    "argon2 passes": (argon2_at(65_536, 5), "327,680", "262,144"),
    "argon2 passes in the billions": (argon2_at(64, 2**31), "137,438,953,472", "262,144"),
    "argon2 memory": (argon2_at(4 * 2**20, 1), "8,388,608", "262,144"),
    "argon2 memory of one pass": (argon2_at(131_073, 1), "262,146", "262,144"),
    "argon2 lanes": (argon2_at(131_072, 1, 64), "2,097,152", "262,144"),
    "argon2 of Django": (f"argon2{argon2_at(2**30, 2, 8)}", "2,147,483,648", "262,144"),
    "argon2 of Keycloak": (argon2_of_keycloak(memory="1048576"), "5,242,880", "262,144"),
    "scrypt N": (scrypt_at(18, 8, 1), "2,097,152", "1,048,576"),
    "scrypt r": (scrypt_at(14, 1024, 1), "16,777,216", "1,048,576"),
    "scrypt p": (scrypt_at(17, 8, 2), "2,097,152", "1,048,576"),
    "scrypt N of 2^31": (scrypt_at(31, 8, 1), "17,179,869,184", "1,048,576"),
    "scrypt of Django": (f"scrypt$16384$seasalt$8$500${DJANGO_SCRYPT}", "65,536,000", "1,048,576"),
    "pbkdf2_sha256 of Django": (f"pbkdf2_sha256$4294967295$s${base64_of(bytes(32))}", "4,294,967,295", "1,500,000"),
    "pbkdf2_sha1 of Django": (f"pbkdf2_sha1$1500001$s${base64_of(bytes(20))}", "1,500,001", "1,500,000"),
    "pbkdf2-sha512": (f"$pbkdf2-sha512$700001$c2FsdA${base64_of(bytes(64))[:-2]}", "700,001", "700,000"),
    "pbkdf2-sha512 of 389-DS": (f"{{PBKDF2-SHA512}}10000000$c2FsdA${base64_of(bytes(64))}", "10,000,000", "700,000"),
    "pbkdf2-sha512 of Keycloak": (keycloak("pbkdf2-sha512", 700_001, SALT, bytes(64)), "700,001", "700,000"),
    "short pbkdf2-sha512": (keycloak("pbkdf2-sha512", 700_001, SALT, bytes(32)), "700,001", "700,000"),
}  # fmt: skip


@pytest.mark.parametrize("name", ABSURD)
def test_a_hash_above_the_ceiling_of_its_kind_is_not_imported(file: File, name: str) -> None:
    stored, cost, ceiling = ABSURD[name]
    started = time.process_time()
    told = file.refused(person(SHA256_CRYPT), person(stored))
    assert time.process_time() - started < 0.5
    assert told.startswith("Error: line 2: ")
    assert cost in told
    assert ceiling in told
    assert REMEDY in told
    assert "$" not in told


# The highest costs that systems have by default: none of them is refused.
USUAL = [
    argon2_at(65_536, 4),  # PHP
    argon2_at(65_536, 3, 4),  # RFC 9106, for little memory
    argon2_at(102_400, 2, 8),  # Django
    argon2_at(47_104, 1),  # OWASP
    argon2_at(7_168, 5),  # OWASP and Keycloak
    bcrypt_at(12),  # Django and most others
    bcrypt_at(13),  # Symfony
    scrypt_at(17, 8, 1),  # OWASP
    scrypt_at(13, 8, 10),  # OWASP
    f"pbkdf2_sha256$1500000$seasalt${base64_of(bytes(32))}",  # Django 6.1
    f"$pbkdf2-sha512$210000$c2FsdA${base64_of(bytes(64))[:-2]}",  # OWASP and Keycloak
    crypt_at(656_000),  # passlib
    crypt_at(535_000, "5"),  # passlib
]


def test_no_usual_cost_is_above_a_ceiling(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "verify", lambda *_: (False, None))  # they take a second or two of processor
    assert file.load(*map(person, USUAL)) == f"imported {len(USUAL)} users\n"


STORED = [each for each, *_ in ABSURD.values() if isinstance(each, str) and each.startswith("$")]


@pytest.fixture
def user_with(world: World) -> Iterator[Callable[[str], str]]:
    """Makes users with a hash that no import takes, as release 1.1.0 did, and deletes them: `doctor` finds them."""
    users = list[str]()

    def make(password_hash: str) -> str:
        users.append(world.user(password_hash=password_hash))
        return users[-1]

    yield make
    for user in users:
        world.db.one("principal_delete", id=user, principal_types=["password"])


@pytest.mark.parametrize("stored", STORED)
def test_a_login_never_computes_a_stored_hash_above_the_ceiling(
    api: Api, world: World, user_with: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    user, service, computed = user_with(stored), world.login_service(), list[str]()

    def verify(real: Callable[..., Any], password: bytes, password_hash: str) -> Any:
        computed.append(password_hash)
        assert password_hash != stored  # before it would take minutes
        return real(password, password_hash)

    for name in ("verify", "verify_and_update"):
        monkeypatch.setattr(passwords._context, name, partial(verify, getattr(passwords._context, name)))
    api.login(user, "gammel nøgle", service).refused(401)
    assert len(computed) == 1  # the hash that an unknown user costs
    assert world.password_hash(user) == stored


def processor_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


@pytest.mark.parametrize("kind", [sha256_crypt, sha512_crypt])
def test_a_long_password_does_not_multiply_the_cost_of_sha_crypt(api: Api, world: World, kind: Any) -> None:
    """sha_crypt computes as long as the password is, in each round."""
    service, short, long = world.login_service(), "x" * 200, "x" * PASSWORD_BYTES
    dear = world.user(password_hash=kind.using(rounds=200_000).hash(short))
    own = processor_seconds(lambda: api.login(NOBODY, long, service).refused(401))
    assert processor_seconds(lambda: api.login(dear, long, service).refused(401)) < 5 * own + 0.05
    api.login(dear, short, service).ok()
    api.login(world.user(password_hash=kind.using(rounds=5_000).hash(long)), long, service).ok()


def test_doctor_names_how_many_users_have_a_hash_above_a_ceiling(
    flask: CommandLine, world: World, user_with: Callable[[str], str]
) -> None:  # fmt: skip
    def hashes() -> Any:
        findings = json.loads(flask.run("doctor", "--json").stdout)
        return next(each for each in findings if each["check"] == "password hashes")

    for stored in (each for each in USUAL if each.startswith("$")):
        world.user(password_hash=stored)
    world.user(password_hash=None)
    assert hashes()["ok"] is True
    users = [user_with(stored) for stored in STORED * 2]
    found = hashes()
    assert found["ok"] is False
    assert found["message"].startswith(f"{len(users)} users cannot log in, {min(users)} for example")
    assert REMEDY in found["message"]


@pytest.mark.parametrize(
    "hashes",
    [
        pytest.param([argon2_at(65_536, 3)] * 200, id="argon2"),
        pytest.param([scrypt_at(17, 8, 1)] * 200, id="scrypt"),
        pytest.param([bcrypt_at(12)] * 200, id="bcrypt"),
        pytest.param([f"bcrypt_sha256${bcrypt_at(12)}"] * 200, id="bcrypt_sha256"),
        pytest.param([crypt_at(5_000 + each) for each in range(200)], id="shadow's random rounds"),
        pytest.param([f"pbkdf2_sha256$1000000$s{each}${base64_of(bytes(32))}" for each in range(200)], id="Django"),
        pytest.param([argon2_of_keycloak()] * 200, id="Keycloak's argon2"),
        pytest.param([keycloak("pbkdf2-sha512", 210_000, SALT, bytes(64))] * 200, id="Keycloak's pbkdf2"),
        pytest.param([f"{{PBKDF2_SHA256}}{OLD_389}"] * 200, id="389-DS"),
    ],
)
def test_an_import_computes_no_hash_for_each_line(
    file: File, monkeypatch: pytest.MonkeyPatch, hashes: list[str | dict[str, str]]
) -> None:  # fmt: skip
    computed, verify = list[str](), passwords.verify

    def counted(password: str, password_hash: str) -> tuple[bool, str | None]:
        computed.append(password_hash)
        return verify(password, password_hash)

    monkeypatch.setattr(passwords, "verify", counted)
    started = time.process_time()
    file.load(*map(person, hashes))
    assert time.process_time() - started < 5
    assert len(computed) <= 1


def test_a_byte_order_mark_is_skipped(file: File) -> None:
    file.write(person(SHA256_CRYPT))
    file.path.write_bytes(codecs.BOM_UTF8 + file.path.read_bytes().replace(b"\n", b"\r\n"))
    assert file.flask.json("users", "import", str(file.path)) == {"imported": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_that_is_not_utf_8_is_refused_with_what_to_do(file: File, encoding: str) -> None:
    file.path.write_bytes(json.dumps(person(SHA256_CRYPT)).encode(encoding))
    told = file.flask.fails("users", "import", str(file.path))
    assert told.startswith("Error: line 1: ")
    assert "UTF-8" in told


def test_latin_1_is_refused_with_what_to_do(file: File) -> None:
    user = person(SHA256_CRYPT) | {"firstNames": "Zoë"}
    file.path.write_bytes(json.dumps(user, ensure_ascii=False).encode("latin-1"))
    assert "UTF-8" in file.flask.fails("users", "import", str(file.path))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_a_json_array_is_refused_with_what_to_do(file: File, indent: int | None, bom: bytes) -> None:
    file.path.write_bytes(bom + json.dumps([person(SHA256_CRYPT)], indent=indent).encode())
    told = file.flask.fails("users", "import", str(file.path))
    assert told.startswith("Error: line 1: ")
    assert "jq -c '.[]'" in told


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lastName": None}, "lastName"),
        ({"email": 5}, "email"),
        ({"fullName": "A B"}, "fullName"),
        ({"role": "user"}, "$.role"),
        ({"id": "_a"}, "starts with neither _ nor #P_"),
        ({"firstNames": ""}, f"1 to {NAME_CHARACTERS} characters"),
    ],
)
def test_a_mistake_in_a_field_names_the_field(file: File, change: dict[str, Any], named: str) -> None:
    told = file.refused(person(SHA256_CRYPT), person(SHA256_CRYPT) | change)
    assert told.startswith("Error: line 2: ")
    assert named in told


def test_the_documentation_has_every_spelling() -> None:
    section = (PROJECT / "docs" / "operations.md").read_text().partition("## Command line")[2].partition("\n## ")[0]
    assert [each for each in re.findall(r"\{[\w@-]+\}|\$?[\w-]+\$", HELP) if each not in section] == []
