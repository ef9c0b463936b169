"""The alert rules and the dashboard of dev/ops/: their expressions are valid, and read metrics that the service has."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import yaml
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from auth.config import Config
from auth.core import passwords

from .support.api import Api, send_to_app
from .support.lockouts import FAILURES, fail, locked
from .support.programs import program
from .support.servers import PROJECT
from .support.world import PASSWORD, World

OPS: Final = PROJECT / "dev/ops"
[GROUP] = yaml.safe_load((OPS / "alerts.yml").read_text())["groups"]
ALERTS: Final = GROUP["rules"]
PANELS: Final = [
    {**target, "expr": target["expr"].replace("$__rate_interval", "5m")}  # Grafana's name for a few scrape intervals
    for panel in json.loads((OPS / "dashboard.json").read_text())["panels"]
    for target in panel["targets"]
]
SELECTOR: Final = re.compile(r"\b(?:auth_\w+|up\b)(?:\{[^}]*\})?")
PROMETHEUS_OWN: Final = {"series": 'up{job="auth"}', "values": "1x20"}  # by Prometheus, of each server


def promtool(*arguments: str | Path) -> None:
    finished = subprocess.run(
        [program("promtool", "prometheus"), *arguments], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_rules_are_valid_and_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("check", "rules", OPS / "alerts.yml")
    promtool("test", "rules", OPS / "alerts_test.yml")
    firing = re.findall(r'alertname="(\w+)"', (OPS / "alerts_test.yml").read_text())
    assert {rule["alert"] for rule in ALERTS} == set(firing)


def test_every_expression_finds_series_of_the_service(series: list[dict[str, str]], tmp_path: Path) -> None:
    """Each panel has a value, each label of a legend is there, and each selector of an alert finds a series."""
    present = [target["expr"] for target in PANELS]
    present += [  # without the series that lack the label
        f"({target['expr']}) unless on ({label}) vector(1)"
        for target in PANELS
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    ]
    present += [selector for rule in ALERTS for selector in SELECTOR.findall(rule["expr"])]
    checks = [
        {"expr": f"count({expression}) > bool 0", "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for expression in present
    ]
    file = tmp_path / "test.yml"
    group = {"interval": "1m", "input_series": [PROMETHEUS_OWN, *series], "promql_expr_test": checks}
    file.write_text(yaml.safe_dump({"tests": [group]}))
    promtool("test", "rules", file)


@pytest.fixture
def series(
    api: Api,
    address: str,
    world: World,
    config: Config,
    deploy: Callable[[Config], Flask],
    monkeypatch: pytest.MonkeyPatch,
) -> list[dict[str, str]]:
    """All that /metrics shows after requests of every outcome; each series grows by its value in a minute."""
    user, name, session = world.user(), world.login_service(), world.session()
    assert api.login(user, PASSWORD, name).status == 200
    assert api.refresh(session.refresh_token).status == 200
    assert api.logout(session.refresh_token).status == 200
    with monkeypatch.context() as patch:
        patch.setattr(passwords, "queue", passwords.Places(0))  # the queue is full
        api.login(user, PASSWORD, name).refused(503, "LOGIN_BUSY")
    fail(api, user, name, FAILURES)
    locked(api.login(user, PASSWORD, name))
    away = Api(send_to_app(deploy(replace(config, database_url="postgresql://127.0.0.1:1/none")), address))
    away.refresh(session.refresh_token).refused(503, "DATABASE_UNAVAILABLE")
    families = text_string_to_metric_families(api.call("GET", "/metrics").body.decode())
    return [as_input(sample) for family in families for sample in family.samples]


def as_input(sample: Sample) -> dict[str, str]:
    labels = ", ".join(f"{name}={json.dumps(value)}" for name, value in sample.labels.items())
    return {"series": f"{sample.name}{{{labels}}}", "values": f"0+{sample.value:.9f}x20"}
