"""Configuration: each mistake is one clear line, with nothing secret in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auth.cli.keys import generate_private_key
from auth.config import Misconfigured, from_environment

GOOD = {"DATABASE_URL": "postgresql://localhost/auth", "JWT_PRIVATE_KEY": generate_private_key("ES256")}


def test_defaults() -> None:
    config = from_environment(GOOD)
    assert (config.issuer, config.trusted_origins, config.trusted_proxies) == ("cloud.sdu.dk", frozenset(), 0)
    assert config.cookie_secure
    assert list(config.keyring.verifying) == [config.keyring.signing.kid]


def test_everything_set() -> None:
    hosts = "postgres://a:1,b:2/auth?target_session_attrs=read-write"
    more = {
        "DATABASE_URL": hosts,
        "JWT_ISSUER": "example.org",
        "TRUSTED_ORIGINS": " https://A.example.org , http://localhost:8080,",
        "TRUSTED_PROXIES": "2",
        "COOKIE_SECURE": "0",
    }
    config = from_environment(GOOD | more)
    assert (config.database_url, config.issuer, config.trusted_proxies) == (hosts, "example.org", 2)
    assert config.trusted_origins == {"https://a.example.org:443", "http://localhost:8080"}
    assert not config.cookie_secure


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
        ("JWT_ISSUER", " x"),
        ("JWT_ISSUER", "a\nb"),
        ("TRUSTED_ORIGINS", "*"),
        ("TRUSTED_ORIGINS", "cloud.example.org"),
        ("TRUSTED_ORIGINS", "https://cloud.example.org/"),
        ("TRUSTED_ORIGINS", "https://*.example.org"),
        ("TRUSTED_ORIGINS", "https://a.example.org https://b.example.org"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "one"),
        ("TRUSTED_PROXIES", "1.5"),
        ("COOKIE_SECURE", "no"),
        ("COOKIE_SECURE", "2"),
        ("WEB_CONCURRENCY", "many"),
        ("WEB_CONCURRENCY", "0"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_mistake_is_one_line(name: str, value: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        from_environment(GOOD | {name: value})
    [line] = str(refusal.value).splitlines()
    assert line.startswith(f"{name} ")
    assert "hunter2" not in line
    assert "PRIVATE KEY---" not in line


def test_all_mistakes_are_printed_at_once() -> None:
    with pytest.raises(Misconfigured) as refusal:
        from_environment({"COOKIE_SECURE": "x"})
    assert [line.split()[0] for line in str(refusal.value).splitlines()] == [
        "DATABASE_URL",
        "JWT_PRIVATE_KEY",
        "COOKIE_SECURE",
    ]


@pytest.mark.parametrize("command", [["gunicorn", "app:app"], ["python", "-c", "from app import app"]])
def test_a_start_without_configuration_stops(command: list[str]) -> None:
    environment = {"PATH": os.environ["PATH"], "COOKIE_SECURE": "x", "PORT": "0"}
    program = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    stopped = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert stopped.returncode != 0
    lines = stopped.stderr.strip().splitlines()
    assert [line.split()[0] for line in lines] == ["DATABASE_URL", "JWT_PRIVATE_KEY", "COOKIE_SECURE"]
