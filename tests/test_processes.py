"""Requests while a worker is killed, or the service is stopped under load."""

import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest
from gunicorn.workers.gthread import ThreadWorker

from auth.cli.common import DirectDatabase
from auth.ops.worker import Worker

from .support.copies import wait_until
from .support.locks import waits_for_a_lock
from .support.servers import PROJECT, Server, serving
from .support.timing import TRIES
from .support.world import World

pytestmark = pytest.mark.xdist_group("processes")


def workers(server: Server) -> list[int]:
    """The pids of the server's workers. The process that checks the configuration ends before SIGTERM is handled."""
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{server.process.pid}/status").read_text(), re.MULTILINE)
    if caught is None or not int(caught[1], 16) >> signal.SIGTERM - 1 & 1:
        return []
    return [child.pid for child in psutil.Process(server.process.pid).children()]


def stored(database_url: str, jtis: list[str]) -> set[str]:
    """Which of these claims the database has."""
    with psycopg.connect(database_url) as connection:
        return {row[0] for row in connection.execute("SELECT jti FROM jti_claim WHERE jti = ANY (%s)", [jtis])}


def test_a_killed_worker_loses_no_acknowledged_write(
    environment: dict[str, str], world: World, database_url: str
) -> None:
    """Claims go on while workers are killed: each acknowledged one is stored, and all workers run again."""
    bearer, acknowledged, statuses = world.service().access_token, list[str](), Counter[int]()
    stop = threading.Event()

    def claim(server: Server) -> None:
        while not stop.is_set():
            jti = secrets.token_hex(8)
            try:
                status = server.api.claim(bearer, jti).status
            except (OSError, http.client.HTTPException):
                continue  # the connection broke: nothing was acknowledged
            statuses[status] += 1
            if status == 200:
                acknowledged.append(jti)

    with serving(environment, workers=2) as [server], ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(claim, server)
        for least in (40, 80, 120):
            wait_until(lambda: len(acknowledged) > least)  # noqa: B023 - called at once
            os.kill(workers(server)[0], signal.SIGKILL)
        wait_until(lambda: len(workers(server)) == 2 and len(acknowledged) > 160)
        stop.set()
    assert set(statuses) == {200}
    assert stored(database_url, acknowledged) == set(acknowledged)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_stop_under_load_answers_every_request_that_had_an_effect(
    environment: dict[str, str], world: World, database_url: str, keep_alive: bool
) -> None:
    """Clients go on until they are refused. A connection that no worker has read may be reset, with no claim stored."""
    headers = {"Authorization": f"Bearer {world.service().access_token}"}
    answers, unanswered = list[int](), list[str]()

    def claim(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while True:
            try:
                connection.connect() if connection.sock is None else None
            except OSError:
                return
            jti = secrets.token_hex(8)
            try:
                connection.request("POST", f"/auth/claim?jti={jti}", headers=headers)
                response = connection.getresponse()
                response.read()
                answers.append(response.status)
            except (OSError, http.client.HTTPException):
                unanswered.append(jti)
                connection.close()
            if not keep_alive:
                connection.close()

    with serving(environment, workers=2) as [server], ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(claim, server.port) for _ in range(8)]
        deadline = time.monotonic() + 60
        while len(answers) <= 200:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert server.stop() == 0
        for client in clients:
            client.result()
    assert set(answers) == {200}
    assert stored(database_url, unanswered) == set()


def test_a_stop_right_after_the_start_takes_effect_at_once(environment: dict[str, str]) -> None:
    """Also by a worker that was forked a moment ago; otherwise it would take the 30 seconds of a graceful stop."""
    for _ in range(2):
        server = Server(environment, workers=2)
        while not workers(server):
            assert server.process.poll() is None
            time.sleep(0.01)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 20


def test_a_workers_hashes_share_the_cores_with_those_of_others(environment: dict[str, str]) -> None:
    """In a process of its own, since gunicorn.conf.py forgets what is imported of ours."""
    program = """if True:
        import runpy, types
        after_fork = runpy.run_path("gunicorn.conf.py")["post_worker_init"]
        from auth.core import passwords
        passwords.prepare = print
        after_fork(types.SimpleNamespace(cfg=types.SimpleNamespace(workers=3)))
    """
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    assert finished.stdout == "3\n"


def test_requests_that_are_stuck_hold_up_no_others(
    environment: dict[str, str], world: World, database_url: str
) -> None:
    """Eight that wait for a lock, which takes over a second, keep nobody else waiting."""
    bearer, token = world.service().access_token, world.session().refresh_token
    with (
        serving(environment) as [server],
        ThreadPoolExecutor(8) as pool,
        DirectDatabase(database_url).transaction() as transaction,
    ):
        world.claim(jti := secrets.token_hex(8), transaction)

        def is_answered_first() -> bool:
            stuck = [pool.submit(server.client().claim, bearer, jti) for _ in range(8)]
            assert waits_for_a_lock(database_url, stuck[0])
            assert server.api.refresh(token).status == 200
            is_first = not any(claim.done() for claim in stuck)
            wait(stuck)
            return is_first

        assert any(is_answered_first() for _ in range(TRIES))


FIRST_USES = """
import importlib, sys, threading
import msgspec

sys.setswitchinterval(1e-6)
for _ in range(40):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("app", "auth")]:
        del sys.modules[name]
    importlib.import_module("app")
    from auth.http.rpc import RPCS

    def use(model, start):
        start.wait()
        msgspec.convert(dict.fromkeys(("username", "password", "service"), "a"), model, strict=False)

    start = threading.Barrier(8)
    threads = [threading.Thread(target=use, args=(RPCS["passwordLogin"].models["form"], start)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_the_first_requests_of_a_process_may_come_at_once() -> None:
    """msgspec ends the process by a fault where two threads are the first to use a model."""
    finished = subprocess.run(
        [sys.executable, "-c", FIRST_USES], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]


def held(server: Server, count: int) -> list[int]:
    """How many of so many connections each worker holds, when all were opened at once and have had an answer."""
    with ExitStack() as stack:
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(count)]
        for connection in connections:
            stack.callback(connection.close)
            connection.connect()
        for connection in connections:
            connection.request("GET", "/livez")
        assert {connection.getresponse().read() for connection in connections} == {b"{}"}
        open_sockets = [psutil.Process(worker).net_connections("tcp") for worker in workers(server)]
        return [sum(each.status == psutil.CONN_ESTABLISHED for each in of_one) for of_one in open_sockets]


def test_connections_that_stay_are_shared_by_the_workers(environment: dict[str, str]) -> None:
    """A connection stays with the worker that accepted it: with all of a proxy's on one, the other cores would idle."""
    with serving(environment, workers=2) as [server]:
        while min(held(server, 8)) == 0:  # one of them is not up
            time.sleep(0.1)
        assert max(min(held(server, 24)) for _ in range(5)) >= 4  # of 12: the machine may be busy


def test_a_worker_with_more_connections_accepts_later(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, waits = Worker.__new__(Worker), list[float]()
    monkeypatch.setattr(ThreadWorker, "accept", lambda *_: None)
    monkeypatch.setattr("auth.ops.worker.time.sleep", waits.append)
    for worker.nr_conns in (0, 1, 4, 8, 1000):
        worker.accept(None)
    assert waits == [0, 0.0001, 0.0004, 0.0008, 0.0008]  # seconds: much longer ones would delay every new client
