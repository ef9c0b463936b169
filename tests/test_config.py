"""Configuration: each mistake is one clear line, with nothing secret in it."""

import base64
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from auth import VARIABLES
from auth.cli.keys import generate_private_key
from auth.config import Config, Misconfigured, from_environment

from .support.command_line import CommandLine
from .support.copies import issuer, wait_until
from .support.servers import BIN, PROJECT, serving
from .support.world import World
from .test_tokens import public_pem

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
GOOD = {"DATABASE_URL": "postgresql://localhost/auth", "JWT_PRIVATE_KEY": generate_private_key("ES256")}


def test_defaults() -> None:
    config = from_environment(GOOD)
    assert (config.issuer, config.trusted_origins, config.trusted_proxies) == ("cloud.sdu.dk", frozenset(), 0)
    assert config.cookie_secure
    assert list(config.keyring.verifying) == [config.keyring.signing.kid]
    assert (bool(config.second_factor_keys), config.second_factor_required) == (False, frozenset())


def test_everything_set() -> None:
    hosts = "postgres://a:1,b:2/auth?target_session_attrs=read-write"
    more = {
        "DATABASE_URL": hosts,
        "JWT_ISSUER": "example.org",
        "TRUSTED_ORIGINS": " https://A.example.org , http://localhost:8080,\nCapacitor://Localhost,app://obsidian.md",
        "TRUSTED_PROXIES": "2",
        "COOKIE_SECURE": "0",
        "SECOND_FACTOR_KEYS": f"{KEY} , {Fernet.generate_key().decode()}",
        "SECOND_FACTOR_REQUIRED": "ADMIN, USER",
    }
    config = from_environment(GOOD | more)
    assert (config.database_url, config.issuer, config.trusted_proxies) == (hosts, "example.org", 2)
    web, apps = {"https://a.example.org:443", "http://localhost:8080"}, {"capacitor://localhost", "app://obsidian.md"}
    assert config.trusted_origins == web | apps
    assert not config.cookie_secure
    assert config.second_factor_keys
    assert config.second_factor_required == {"USER", "ADMIN"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://localhost/auth"),
        ("DATABASE_URL", "host=localhost password=hunter2"),
        ("DATABASE_URL", "postgresql://u:hunter2@localhost/auth?nonsense=1"),
        ("DATABASE_URL", "postgresql://u:hunter2@[::1/auth"),
        ("JWT_PRIVATE_KEY", ""),
        ("JWT_PRIVATE_KEY", "hunter2"),
        ("JWT_PUBLIC_KEYS", "hunter2"),
        ("JWT_PUBLIC_KEYS", generate_private_key("ES256")),
        ("DATABASE_URL", "postgresql://u:hunter2@local\nhost/auth"),
        ("DATABASE_URL", "postgresql://u:hunter2@localhost/au\tth"),
        ("DATABASE_URL", "postgresql://u:hunter2@localhost/au\u00a0th"),
        ("DATABASE_URL", "postgresql://u:hunter2@localhost/auth\u200b"),
        ("DATABASE_URL", "\ufeffpostgresql://u:hunter2@localhost/auth"),
        ("JWT_ISSUER", "a\nb"),
        ("JWT_ISSUER", "\ufeffa"),
        ("TRUSTED_ORIGINS", "*"),
        ("TRUSTED_ORIGINS", "cloud.example.org"),
        ("TRUSTED_ORIGINS", "https://cloud.example.org/"),
        ("TRUSTED_ORIGINS", "https://*.example.org"),
        ("TRUSTED_ORIGINS", "https://a.example.org https://b.example.org"),
        ("TRUSTED_ORIGINS", "\ufeffhttps://a.example.org"),
        ("TRUSTED_ORIGINS", "null"),
        ("TRUSTED_ORIGINS", "file://"),
        ("TRUSTED_ORIGINS", "file://localhost"),
        ("TRUSTED_ORIGINS", "data://localhost"),
        ("TRUSTED_ORIGINS", "javascript://localhost"),
        ("TRUSTED_ORIGINS", "blob:https://cloud.example.org"),
        ("TRUSTED_ORIGINS", "ws://localhost"),
        ("TRUSTED_ORIGINS", "capacitor:localhost"),
        ("TRUSTED_ORIGINS", "capacitor://"),
        ("TRUSTED_ORIGINS", "capacitor://localhost/"),
        ("TRUSTED_ORIGINS", "capacitor://*"),
        ("TRUSTED_ORIGINS", "my_app://localhost"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "one"),
        ("TRUSTED_PROXIES", "1.5"),
        ("COOKIE_SECURE", "no"),
        ("COOKIE_SECURE", "2"),
        ("COOKIE_SECURE", "true"),
        ("COOKIE_SECURE", "-0"),
        ("WEB_CONCURRENCY", "many"),
        ("WEB_CONCURRENCY", "0"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("LOG_LEVEL", "loud"),
        ("SECOND_FACTOR_KEYS", "hunter2"),
        ("SECOND_FACTOR_KEYS", f"{KEY} {KEY}"),
        ("SECOND_FACTOR_KEYS", f"{KEY},hunter2"),
        ("SECOND_FACTOR_KEYS", KEY[:-1]),
        ("SECOND_FACTOR_KEYS", "é"),
        ("SECOND_FACTOR_REQUIRED", "user"),
        ("SECOND_FACTOR_REQUIRED", "USER ADMIN"),
        ("SECOND_FACTOR_REQUIRED", "SERVICE"),
        ("SECOND_FACTOR_REQUIRED", "1"),
    ],
)
def test_a_mistake_is_one_line(name: str, value: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        from_environment(GOOD | {name: value})
    [line] = str(refusal.value).splitlines()
    assert line.startswith(f"{name} ")
    assert "hunter2" not in line
    assert "PRIVATE KEY---" not in line
    assert KEY not in line


def test_a_factor_is_not_required_without_keys() -> None:
    for role in ("USER", "ADMIN", "USER,ADMIN"):
        with pytest.raises(Misconfigured) as refusal:
            from_environment(GOOD | {"SECOND_FACTOR_REQUIRED": role})
        assert str(refusal.value).startswith("SECOND_FACTOR_KEYS is not set")
    assert from_environment(GOOD | {"SECOND_FACTOR_REQUIRED": "USER", "SECOND_FACTOR_KEYS": KEY})


def test_all_mistakes_are_printed_at_once() -> None:
    with pytest.raises(Misconfigured) as refusal:
        from_environment({"COOKIE_SECURE": "x"})
    assert [line.split()[0] for line in str(refusal.value).splitlines()] == [
        "DATABASE_URL",
        "JWT_PRIVATE_KEY",
        "COOKIE_SECURE",
    ]


def test_a_missing_variable_is_told_from_a_wrong_one() -> None:
    with pytest.raises(Misconfigured) as refusal:
        from_environment({"JWT_PRIVATE_KEY": "hunter2"})
    assert str(refusal.value).splitlines() == [
        "DATABASE_URL is not set. It must be the postgresql:// URL of the database.",
        "JWT_PRIVATE_KEY must be the unencrypted PEM of a private key; `flask keys generate` makes one.",
    ]


NOISE = ["\n", "\r\n", " ", "\t", "\u00a0", " \n \n"]


ALL = GOOD | {
    "JWT_PUBLIC_KEYS": public_pem(generate_private_key("EdDSA")),
    "JWT_ISSUER": "example.org",
    "TRUSTED_ORIGINS": "https://a.example.org,capacitor://localhost",
    "TRUSTED_PROXIES": "2",
    "COOKIE_SECURE": "0",
    "SECOND_FACTOR_KEYS": KEY,
    "SECOND_FACTOR_REQUIRED": "USER",
    "LOG_LEVEL": "warning",
    "PORT": "9000",
    "WEB_CONCURRENCY": "3",
}


def assert_same(config: Config, expected: Config) -> None:
    keys: dict[str, Any] = {"keyring": expected.keyring, "second_factor_keys": expected.second_factor_keys}
    assert replace(config, **keys) == expected
    assert list(config.keyring.verifying) == list(expected.keyring.verifying)
    assert bool(config.second_factor_keys) == bool(expected.second_factor_keys)


@pytest.mark.parametrize("noise", NOISE, ids=map(repr, NOISE))
def test_space_around_a_value_is_no_part_of_it(noise: str) -> None:
    """A file with a secret ends with a newline, and copied text with a space."""
    assert_same(
        from_environment({name: f"{noise}{value}{noise}" for name, value in ALL.items()}), from_environment(ALL)
    )
    empty = {name: ALL[name] if name in GOOD else noise for name in ALL}
    assert_same(from_environment(empty), from_environment(GOOD))


def as_files(folder: Path, values: dict[str, str]) -> dict[str, str]:
    """The variables that name files with these values, each with a newline at its end."""
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")
    return {f"{name}_FILE": str(folder / name) for name in values}


def test_workers_get_the_files_of_every_variable() -> None:
    """gunicorn.conf.py reads them by this list, since it cannot import auth.config."""
    assert set(VARIABLES) == ALL.keys()


def test_every_variable_may_be_a_file(tmp_path: Path) -> None:
    files = as_files(tmp_path, ALL)
    assert_same(from_environment(files), from_environment(ALL))
    assert_same(from_environment(files | dict.fromkeys(ALL, " ")), from_environment(ALL))
    assert_same(from_environment(ALL | dict.fromkeys(files, "\n")), from_environment(ALL))
    for name in ALL.keys() - GOOD.keys():
        (tmp_path / name).write_text("\n")
    assert_same(from_environment(files), from_environment(GOOD))


def test_a_variable_and_its_file_are_not_both_set(tmp_path: Path) -> None:
    both = ALL | as_files(tmp_path, ALL)
    with pytest.raises(Misconfigured) as refusal:
        from_environment(both)
    assert str(refusal.value).splitlines() == [f"{name} and {name}_FILE are both set." for name in ALL]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("what", ["missing", "folder", "no UTF-8", "the secret itself", "a mistake in it"])
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, what: str) -> None:
    path = tmp_path / "secret-hunter2"
    if what == "folder":
        path.mkdir()
    elif what in ("no UTF-8", "a mistake in it"):
        path.write_bytes(b"hunter2 \xff" if what == "no UTF-8" else b"hunter2 \x01\n")
    others = {other: value for other, value in ALL.items() if other != name}
    with pytest.raises(Misconfigured) as refusal:
        from_environment(others | {f"{name}_FILE": "hunter2" if what == "the secret itself" else str(path)})
    [line] = str(refusal.value).splitlines()
    assert line.startswith(f"{name} " if what == "a mistake in it" else f"{name}_FILE cannot be read: ")
    assert "hunter2" not in line
    assert refusal.value.__cause__ is None


def test_a_file_without_text_is_a_missing_variable(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refusal:
        from_environment(as_files(tmp_path, dict.fromkeys(GOOD, "")))
    assert [line.partition(" is not set.")[0] for line in str(refusal.value).splitlines()] == list(GOOD)


def test_a_server_and_the_commands_read_files(environment: dict[str, str], tmp_path: Path, world: World) -> None:
    files = as_files(tmp_path, environment | {"WEB_CONCURRENCY": "3"})
    with serving(files) as [server]:
        assert server.api.refresh(world.session().refresh_token).status == 200
    commands = CommandLine(files)
    findings = {row["check"]: row["message"] for row in commands.json("doctor") if row["ok"]}
    assert findings["connections"].startswith("3 processes")
    assert "make run" not in findings["database"]
    assert findings.keys() == {row["check"] for row in commands.json("doctor")}
    assert commands.json("keys", "show") == CommandLine(environment).json("keys", "show")

    (tmp_path / "DATABASE_URL").unlink()
    assert commands.fails("users", "list") == "Error: DATABASE_URL_FILE cannot be read: FileNotFoundError."


def test_a_file_is_read_again_at_hup(environment: dict[str, str], tmp_path: Path, world: World) -> None:
    """With a mistake in the file, the old workers go on."""
    path, log, token = tmp_path / "JWT_ISSUER", tmp_path / "log", world.session().refresh_token
    files = as_files(tmp_path, {"JWT_ISSUER": "first.example.org"})
    with serving(environment | files, log=log) as [server]:
        assert issuer(server, token) == "first.example.org"
        path.write_text("a\x01mistake")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded" in log.read_text())
        assert issuer(server, token) == "first.example.org"
        path.write_text("second.example.org")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: issuer(server, token) == "second.example.org")


@pytest.mark.parametrize("in_files", [False, True], ids=["variables", "files"])
def test_gunicorn_reads_its_values_the_same_way(environment: dict[str, str], tmp_path: Path, in_files: bool) -> None:
    noisy = {"PORT": " 9000\n", "WEB_CONCURRENCY": " 3\n", "LOG_LEVEL": "Warning\r\n", "JWT_ISSUER": "\n"}
    program = [str(BIN / "gunicorn"), "--print-config", "app:app"]
    variables = {"PATH": os.environ["PATH"], **environment, **(as_files(tmp_path, noisy) if in_files else noisy)}
    printed = subprocess.run(
        program, env=variables, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=True
    )
    settings = dict(re.findall(r"^(\w+) += (.*)$", printed.stdout, re.MULTILINE))
    assert settings["bind"].endswith(":9000']")
    assert (settings["workers"], settings["loglevel"]) == ("3", "warning")


@pytest.mark.parametrize("noise", ["\n", " ", "\r\n"], ids=repr)
def test_the_commands_read_their_values_the_same_way(environment: dict[str, str], noise: str) -> None:
    noisy = {**environment, "WEB_CONCURRENCY": "2"}
    commands = CommandLine({name: f"{noise}{value}{noise}" for name, value in noisy.items()})
    assert {row["check"]: row["message"] for row in commands.json("doctor") if not row["ok"]} == {}
    assert "2 processes" in str(commands.json("doctor"))


@pytest.mark.parametrize("command", [["gunicorn", "app:app"], ["python", "-c", "from app import app"]])
def test_a_start_without_configuration_stops(command: list[str]) -> None:
    environment = {"PATH": os.environ["PATH"], "COOKIE_SECURE": "x", "PORT": "0"}
    program = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    stopped = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert stopped.returncode != 0
    lines = stopped.stderr.strip().splitlines()
    assert [line.split()[0] for line in lines] == ["DATABASE_URL", "JWT_PRIVATE_KEY", "COOKIE_SECURE"]
