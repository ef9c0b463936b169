"""Passwords: what a hash costs, how many run at once, the rules for new ones, and how old hashes are replaced."""

import base64
import hashlib
import itertools
import json
import math
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask
from passlib.hash import argon2, bcrypt, pbkdf2_sha256, pbkdf2_sha512, scrypt, sha256_crypt, sha512_crypt

from app import create_app
from auth import db as connections
from auth.config import Config
from auth.core import password_rules, passwords
from auth.core.errors import ApiError, LoginBusy, PasswordTooEasy, PasswordTooLong, PasswordTooShort
from auth.core.limits import PASSWORD_BYTES
from auth.core.password_rules import CHARACTERS, check
from auth.ops.metrics import HASH_WAIT

from .support.api import Api, any_address, request_class, send_to_app
from .support.command_line import CommandLine
from .support.copies import wait_until
from .support.timing import seconds_of
from .support.world import PASSWORD, World


def test_a_hash_costs_what_owasp_asks_for() -> None:
    made = passwords.hash_password(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.hash_password(PASSWORD) != made


class Slow:
    """Stands in for the hashing itself: takes as long as the test wants, and counts how many run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wait_seconds: float = 30) -> None:
        self.running = self.most = 0
        self.go_on = threading.Event()
        self._started = threading.Condition()
        monkeypatch.setattr(passwords, "verify", self)
        monkeypatch.setattr(passwords, "WAIT_SECONDS", wait_seconds)

    def __call__(self, *_: object) -> tuple[bool, None]:
        with self._started:
            self.running += 1
            self.most = max(self.most, self.running)
            self._started.notify_all()
        self.go_on.wait(60)
        with self._started:
            self.running -= 1
        return True, None

    def wait_for(self, running: int) -> None:
        with self._started:
            assert self._started.wait_for(lambda: self.running >= running, 10)


OURS = passwords.hash_password(PASSWORD)
DEAR = f"$pbkdf2-sha256$1500000$c2FsdA${base64.b64encode(bytes(32)).decode()[:-1]}"  # a third of a second


def verify_in_turn(password_hash: str = OURS) -> tuple[bool, str | None]:
    return passwords.in_turn(math.inf, lambda seconds: None, passwords.verify, "x", password_hash)


def test_no_more_hash_at_once_than_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    with ThreadPoolExecutor(passwords.CORES + 8) as pool:
        results = [pool.submit(verify_in_turn) for _ in range(passwords.CORES + 8)]
        slow.wait_for(passwords.CORES)
        time.sleep(0.1)  # one more would start now
        slow.go_on.set()
        assert [result.result() for result in results] == [(True, None)] * len(results)
    assert slow.most == passwords.CORES


@pytest.mark.parametrize(("processes", "at_once"), [(1, passwords.CORES), (passwords.CORES, 1), (1000, 1)])
def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch, processes: int, at_once: int) -> None:
    slow = Slow(monkeypatch)
    monkeypatch.setattr(passwords, "_threads", dict(passwords._threads))
    passwords.prepare(processes)
    with ThreadPoolExecutor(passwords.CORES + 1) as pool:
        results = [pool.submit(verify_in_turn) for _ in range(passwords.CORES + 1)]
        slow.wait_for(at_once)
        time.sleep(0.1)  # one more would start now
        slow.go_on.set()
        assert all(result.result() for result in results)
    assert slow.most == at_once


def hash_waits() -> float:
    samples = (sample for metric in HASH_WAIT.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_count"))


def test_a_login_waits_a_second_for_its_turn(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, passwords.WAIT_SECONDS)
    user, service, refresh_token = world.user(), world.login_service(), world.session().refresh_token
    with ThreadPoolExecutor(passwords.CORES) as pool:
        running = [pool.submit(verify_in_turn) for _ in range(passwords.CORES)]
        slow.wait_for(passwords.CORES)
        before = hash_waits()
        answer = api.login(user, PASSWORD, service).refused(503, "LOGIN_BUSY")
        assert hash_waits() == before + 1
        taken = seconds_of(lambda: api.login(user, PASSWORD, service).refused(503, "LOGIN_BUSY"), within=2)
        assert 0.9 < taken < 2
        assert answer.header("Retry-After") == "1"
        assert api.refresh(refresh_token).status == 200
        slow.go_on.set()
        assert all(result.result() for result in running)
    monkeypatch.undo()
    assert api.login(user, PASSWORD, service).status == 200


def test_an_imported_hash_leaves_other_logins_a_place(
    app: Flask, api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four senders log in as a user whose hash costs as much as an import accepts, in a process of one core."""
    monkeypatch.setattr(passwords, "_threads", dict(passwords._threads))
    passwords.prepare(passwords.CORES)
    user, imported, service = world.user(), world.user(password_hash=DEAR), world.login_service()
    statuses, end = list[int](), threading.Event()

    def send() -> None:
        while not end.is_set():
            sender = Api(send_to_app(app, any_address()))
            statuses.append(sender.login(imported, PASSWORD, service).status)

    with ThreadPoolExecutor(4) as senders, ExitStack() as at_the_end:
        at_the_end.callback(end.set)
        for _ in range(4):
            senders.submit(send)
        wait_until(lambda: statuses)
        for _ in range(5):
            api.login(user, PASSWORD, service).ok()
    assert 401 in statuses
    assert set(statuses) <= {401, 503}


def test_a_full_queue_refuses_the_next_login_at_once() -> None:
    with ExitStack() as places:
        for _ in range(passwords.WAITING):
            places.enter_context(passwords.queue)
        with pytest.raises(LoginBusy), passwords.queue:
            raise AssertionError("one place too many")
    with pytest.raises(ZeroDivisionError), passwords.queue:
        raise ZeroDivisionError
    with ExitStack() as places:  # all are free again
        for _ in range(passwords.WAITING):
            places.enter_context(passwords.queue)


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_a_caller_may_wait_less_than_a_second(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    slow, waits = Slow(monkeypatch), list[float]()
    with ThreadPoolExecutor(passwords.CORES) as pool:
        running = [pool.submit(verify_in_turn) for _ in range(passwords.CORES)]
        slow.wait_for(passwords.CORES)
        started = time.monotonic()
        with pytest.raises(LoginBusy):
            passwords.in_turn(started + seconds, waits.append, passwords.verify, "x", OURS)
        assert seconds <= time.monotonic() - started < passwords.WAIT_SECONDS
        slow.go_on.set()
        assert all(result.result() for result in running)
    assert len(waits) == 1
    assert seconds <= waits[0] < passwords.WAIT_SECONDS


def test_no_connection_is_held_while_hashing(config: Config, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service with a single connection uses it for another call while it hashes."""
    monkeypatch.setattr(connections, "CONNECTIONS", 1)
    app, user, service = create_app(config), world.user(), world.login_service()
    api, token, seen = Api(send_to_app(app, any_address())), world.session().refresh_token, list[int]()

    def verify(*_: object) -> tuple[bool, None]:
        seen.append(api.refresh(token).status)
        return True, None

    monkeypatch.setattr(passwords, "verify", verify)
    assert api.login(user, PASSWORD, service).status == 200
    assert seen == [200]
    request_class(app).database.close()


OWN_TEXTS = ("qwzx-1984@dev", "Nadezhda.Krupskaya@example.org", "Anne-Marie Zoë", "Vestergaard")


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("", PasswordTooShort),
        ("x7#Kq9!mZ2$vLp", PasswordTooShort),
        ("密码" * 7, PasswordTooShort),
        (" " * (CHARACTERS - 1), PasswordTooShort),
        ("Password1!", PasswordTooShort),
        ("x7#Kq9!mZ2$vLp" * 74, PasswordTooLong),
        ("é" * (PASSWORD_BYTES // 2 + 1), PasswordTooLong),
        (" " * CHARACTERS, PasswordTooEasy),
        ("x" * PASSWORD_BYTES, PasswordTooEasy),
        ("passwordpassword", PasswordTooEasy),
        ("qwertyuiopasdfgh", PasswordTooEasy),
        ("P@ssw0rdP@ssw0rd", PasswordTooEasy),
        ("123456789012345", PasswordTooEasy),
        ("chocolatecookies", PasswordTooEasy),  # a score of 2
        ("thisisapassword1", None),  # a score of 3
        ("a" * 64 + "x7#Kq9!mZ2$vLp-0", PasswordTooEasy),
        (OWN_TEXTS[0] + "!!", PasswordTooEasy),
        (OWN_TEXTS[0].upper() + "00", PasswordTooEasy),
        (OWN_TEXTS[1], PasswordTooEasy),
        ("KrupskayaNadezhda", PasswordTooEasy),
        ("VestergaardMarie", PasswordTooEasy),
        ("x7#Kq9!mZ2$vLp-0", None),
        ("an ordinary lamp beside us", None),
        ("x7#Kq9!mZ2$vLp-0".ljust(PASSWORD_BYTES, "a"), None),
        ("夏目漱石は猫である名前はまだ無い", None),
        (PASSWORD, None),
        ("GqFDTQ_-uErtRKErCdq0TsmixZLwQoLQHq4RbUCR132", None),
    ],
)  # fmt: skip
def test_the_rules_for_a_new_password(password: str, error: type[ApiError] | None) -> None:
    if error is None:
        check(password, *OWN_TEXTS)
        return
    with pytest.raises(error) as refusal:
        check(password, *OWN_TEXTS)
    assert refusal.value.status == 400
    assert refusal.value.error_code == re.sub("(?<!^)([A-Z])", r"_\1", error.__name__).upper()
    assert not password or password not in refusal.value.why


def test_a_user_without_an_email_may_have_a_password() -> None:
    check(PASSWORD, "ada", None, "Ada", "Lovelace")


@pytest.mark.parametrize("own_text", ["", None, "\n", "12345\n", "a" * 100_000, "İ" * 255, "\0"])
def test_any_text_of_the_user_may_be_compared(own_text: str | None) -> None:
    check(PASSWORD, own_text)


@pytest.mark.parametrize(
    "digits",
    ["1234", "12345", "123456", "1234567", "12345678", "١٢٣٤٥", "\uff11\uff12\uff13\uff14\uff15", "1\u00b2\u00b345"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\x1d", "\x85", "\u2028", "\nlamp"])
def test_a_password_may_hold_digits_and_a_newline(digits: str, end: str) -> None:
    """zxcvbn takes a newline behind digits for a part of the number, and fails."""
    check(f"violet kettles {digits}{end}")


@pytest.mark.parametrize(
    "password",
    [
        "\n" * CHARACTERS,
        "\x00\x1b" * 30,
        "\x9f" * CHARACTERS,
        "pass\x00word\x1bpass\x85word",
        "\x01".join(OWN_TEXTS[3]) + "\x01" * 20,
    ],
)
def test_control_characters_make_no_password_harder(password: str) -> None:
    with pytest.raises(PasswordTooEasy):
        check(password, *OWN_TEXTS)


@pytest.mark.parametrize("fault", [ValueError, KeyError, OverflowError, RecursionError, ZeroDivisionError])
@pytest.mark.parametrize("part", ["auth.core.password_rules.zxcvbn", "zxcvbn.matching.relevant_l33t_subtable"])
def test_a_password_on_which_zxcvbn_fails_is_refused(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception], part: str
) -> None:
    def fail(*_: object) -> None:
        raise fault(PASSWORD)

    monkeypatch.setattr(part, fail)
    for _ in range(password_rules.WAITING + 1):  # no place is lost
        with pytest.raises(PasswordTooEasy) as refusal:
            check(PASSWORD)
    assert refusal.value.cause == fault.__name__
    assert PASSWORD not in refusal.value.why


@contextmanager
def often_switching() -> Iterator[None]:
    """Let Python change threads every 10 microseconds, so that a race shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("own_text", ["zqxvkwjp", "wjqzxkvb"])
def test_rules_for_two_users_at_once_do_not_mix(own_text: str) -> None:
    """zxcvbn keeps the user's words in a global dictionary."""
    with often_switching(), ThreadPoolExecutor(8) as pool:
        refusals = []
        for number in range(40):
            pool.submit(check, PASSWORD, f"user {number}")
            refusals.append(pool.submit(check, own_text * 2, own_text))
        assert {type(refusal.exception()) for refusal in refusals} == {PasswordTooEasy}


@pytest.mark.parametrize("password", ["4@8({[<369 1!|70$5+%2" * 3, "".join(map(chr, range(33, 97)))])
def test_a_password_of_many_symbols_costs_no_more_than_others(password: str) -> None:
    """zxcvbn tries up to 700 readings of these symbols as letters."""

    def seconds(scored: str) -> float:
        started = time.thread_time()
        check(scored)
        return time.thread_time() - started

    ordinary = min(seconds(secrets.token_urlsafe(48)) for _ in range(3))
    assert min(seconds(password) for _ in range(3)) < ordinary * 6


def test_a_typed_password_that_is_not_utf_8_is_refused(
    flask: CommandLine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python reads such bytes of a terminal as surrogates, where no locale is set."""
    monkeypatch.setattr(click, "prompt", lambda *_, **__: b"violet kettles \xff lamp".decode(errors="surrogateescape"))
    user = world.user()
    before = world.password_hash(user)
    assert flask.fails("users", "set-password", user) == "Error: The input is not in UTF-8."
    assert world.password_hash(user) == before


KINDS: dict[str, Callable[[str], str]] = {
    "argon2i": argon2.using(type="I", memory_cost=1024, time_cost=2, parallelism=1).hash,
    "argon2id": argon2.using(type="ID", memory_cost=8192, time_cost=1, parallelism=1).hash,
    "bcrypt": bcrypt.using(rounds=4).hash,
    "bcrypt 2y": lambda password: bcrypt.using(rounds=4, ident="2y").hash(password),
    "scrypt": scrypt.using(rounds=4).hash,
    "pbkdf2_sha256": pbkdf2_sha256.using(rounds=1000).hash,
    "pbkdf2_sha512": pbkdf2_sha512.using(rounds=1000).hash,
    "sha256_crypt": sha256_crypt.using(rounds=1000).hash,
    "sha512_crypt": sha512_crypt.using(rounds=1000).hash,
}


def original(password: str) -> dict[str, str]:
    """The hash and the salt as UCloud stores them."""
    salt = secrets.token_bytes(16)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, 32)
    return {"hashedPassword": base64.b64encode(key).decode(), "salt": base64.b64encode(salt).decode()}


def person(**fields: Any) -> dict[str, Any]:
    return {"id": f"import-{secrets.token_hex(8)}", "role": "USER", "firstNames": "A", "lastName": "B", **fields}


@pytest.mark.parametrize("kind", [*KINDS, "original"])
def test_users_are_imported_and_their_hashes_replaced(
    flask: CommandLine, api: Api, world: World, tmp_path: Path, kind: str
) -> None:  # fmt: skip
    password = "pässwörd of old"
    hashed = original(password) if kind == "original" else {"passwordHash": KINDS[kind](password)}
    user = person(role="ADMIN", email="a@example.org", orgId="sdu", **hashed)
    file = tmp_path / "users.jsonl"
    file.write_text(json.dumps(user) + "\n\n")
    assert flask.json("users", "import", str(file)) == {"imported": 1}
    before, service = world.password_hash(user["id"]), world.login_service()
    for wrong in ("pässwörd", "pässwörd of old\0", "x" * 200, "\0"):
        api.login(user["id"], wrong, service).refused(401)
    assert world.password_hash(user["id"]) == before
    token = api.login(user["id"], password, service).ok()["refreshToken"]
    after = world.password_hash(user["id"])
    assert after.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert api.login(user["id"], password, service).status == 200
    assert world.password_hash(user["id"]) == after
    assert api.refresh(token).status == 200


def test_bcrypt_reads_72_bytes_and_its_replacement_all(
    flask: CommandLine, api: Api, world: World, tmp_path: Path
) -> None:
    password = "a" * 100
    user = person(passwordHash=bcrypt.using(rounds=4).hash(password[:72]))
    file = tmp_path / "users.jsonl"
    file.write_text(json.dumps(user))
    flask.json("users", "import", str(file))
    service = world.login_service()
    assert api.login(user["id"], password, service).status == 200
    api.login(user["id"], password[:72], service).refused(401)
    assert api.login(user["id"], password, service).status == 200


GOOD_HASH = KINDS["sha256_crypt"]("a password")


ARGON2 = argon2.using(memory_cost=64, time_cost=1, parallelism=4).hash(PASSWORD)
UNREADABLE = [
    *(ARGON2.replace("p=4", f"p=4,{more}") for more in ("data=aaaa", "keyid=aaaa")),
    *(ARGON2.replace("m=64", f"m={memory_kib}") for memory_kib in (1, 2**32 - 1)),
    scrypt.using(rounds=4).hash(PASSWORD).replace("ln=4", "ln=31"),
    f"{ARGON2}\n",
    f"{ARGON2}\0",
]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        '{"id": "a"}',
        json.dumps(person(passwordHash=GOOD_HASH, more=1)),
        json.dumps(person(passwordHash=GOOD_HASH) | {"role": "SERVICE"}),
        json.dumps(person(passwordHash=GOOD_HASH) | {"role": "user"}),
        json.dumps(person(passwordHash=GOOD_HASH) | {"id": "_a"}),
        json.dumps(person(passwordHash=GOOD_HASH) | {"id": ""}),
        json.dumps(person(passwordHash=GOOD_HASH) | {"id": "a\0"}),
        json.dumps(person(passwordHash=GOOD_HASH) | {"firstNames": None}),
        json.dumps(person(passwordHash=GOOD_HASH) | {"lastName": "\0"}),
        json.dumps(person(passwordHash=GOOD_HASH, email=5)),
        json.dumps(person(passwordHash=GOOD_HASH, email="\ud800")),
        json.dumps(person()),
        json.dumps(person(passwordHash="hunter2hunter2")),
        json.dumps(person(passwordHash="$1$abc$hunter2")),
        json.dumps(person(passwordHash="$5$rounds=1000$hunter2")),
        json.dumps(person(passwordHash="$argon2id$v=19$m=1")),
        *(json.dumps(person(passwordHash=password_hash)) for password_hash in UNREADABLE),
        json.dumps(person(passwordHash=GOOD_HASH, **original("hunter2"))),
        json.dumps(person(hashedPassword=original("hunter2")["hashedPassword"])),
        json.dumps(person(**(original("hunter2") | {"salt": "AAAA"}))),
        json.dumps(person(**(original("hunter2") | {"salt": "hunter2!"}))),
        json.dumps(person(**(original("hunter2") | {"hashedPassword": base64.b64encode(b"x" * 64).decode()}))),
    ],
    ids=map(str, itertools.count()),
)
def test_a_mistake_imports_nobody(flask: CommandLine, tmp_path: Path, line: str) -> None:
    good = [person(passwordHash=GOOD_HASH) for _ in range(2)]
    file = tmp_path / "users.jsonl"
    file.write_text(f"{json.dumps(good[0])}\n{line}\n{json.dumps(good[1])}\n")
    told = flask.fails("users", "import", str(file))
    assert told.startswith("Error: line 2: ")
    assert "hunter2" not in told
    assert good[0]["id"] not in flask.run("users", "list").stdout


def test_an_id_that_is_taken_imports_nobody(flask: CommandLine, world: World, tmp_path: Path) -> None:
    good, taken = person(passwordHash=GOOD_HASH), person(passwordHash=GOOD_HASH, id=world.user())
    file = tmp_path / "users.jsonl"
    for lines, number in (([good, taken], 2), ([good, good], 2), ([taken, good], 1)):
        file.write_text("\n".join(map(json.dumps, lines)))
        assert flask.fails("users", "import", str(file)).startswith(f"Error: line {number}: ")
    assert good["id"] not in flask.run("users", "list").stdout
    assert "No such file" in flask.fails("users", "import", str(tmp_path / "missing"))
