"""Configuration: each mistake is one clear line, with nothing secret in it."""

import base64
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from auth.cli.keys import generate_private_key
from auth.config import Misconfigured, from_environment

from .support.command_line import CommandLine
from .support.servers import BIN, PROJECT
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


@pytest.mark.parametrize("noise", NOISE, ids=map(repr, NOISE))
def test_space_around_a_value_is_no_part_of_it(noise: str) -> None:
    """A file with a secret ends with a newline, and copied text with a space."""
    values = GOOD | {
        "JWT_PUBLIC_KEYS": public_pem(generate_private_key("EdDSA")),
        "JWT_ISSUER": "example.org",
        "TRUSTED_ORIGINS": "https://a.example.org,capacitor://localhost",
        "TRUSTED_PROXIES": "2",
        "COOKIE_SECURE": "0",
        "SECOND_FACTOR_REQUIRED": "USER",
        "SECOND_FACTOR_KEYS": KEY,
        "PORT": "9000",
        "WEB_CONCURRENCY": "3",
        "LOG_LEVEL": "warning",
    }
    noisy = from_environment({name: f"{noise}{value}{noise}" for name, value in values.items()})
    plain = from_environment(values)
    apart: dict[str, Any] = {"keyring": plain.keyring, "second_factor_keys": plain.second_factor_keys}
    assert replace(noisy, **apart) == plain
    assert list(noisy.keyring.verifying) == list(plain.keyring.verifying)
    empty = from_environment({name: values[name] if name in GOOD else noise for name in values})
    assert replace(empty, **apart) == replace(from_environment(GOOD), **apart)


def test_gunicorn_reads_its_values_the_same_way(environment: dict[str, str]) -> None:
    noisy = {"PORT": " 9000\n", "WEB_CONCURRENCY": " 3\n", "LOG_LEVEL": "Warning\r\n", "JWT_ISSUER": "\n"}
    program = [str(BIN / "gunicorn"), "--print-config", "app:app"]
    variables = {"PATH": os.environ["PATH"], **environment, **noisy}
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
