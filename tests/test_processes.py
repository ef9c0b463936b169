"""What becomes of requests when a worker is killed or the service is stopped under load."""

import errno
import http.client
import os
import runpy
import secrets
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

from auth import passwords, waiting, worker
from auth.current import EXTENSION
from auth.worker import Worker

from .servers import PROJECT, Server, serving
from .world import World

pytestmark = pytest.mark.xdist_group("processes")


def workers(server: Server) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def test_a_killed_worker_loses_no_acknowledged_write(environment: dict[str, str], world: World) -> None:
    """Claims go on while workers are killed: each acknowledged one is stored, and the service is whole again."""
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
        for _ in range(3):
            time.sleep(0.5)
            os.kill(workers(server)[0], signal.SIGKILL)
        time.sleep(1.5)
        stop.set()
    assert set(statuses) == {200}
    assert len(acknowledged) > 100
    assert all(world.db.one("jti_claim_insert", jti=jti) is None for jti in acknowledged)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_stop_under_load_answers_every_accepted_request(
    environment: dict[str, str], world: World, keep_alive: bool
) -> None:
    """Each client goes on until its connection is refused; until then none of its requests stays unanswered."""
    bearer = world.service().access_token
    headers = {"Authorization": f"Bearer {bearer}"}

    answers: list[int] = []

    def claim(port: int) -> int:
        lost = 0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while True:
            try:
                connection.connect() if connection.sock is None else None
            except OSError:
                return lost
            try:
                connection.request("POST", f"/auth/claim?jti={secrets.token_hex(8)}", headers=headers)
                response = connection.getresponse()
                response.read()
                answers.append(response.status)
            except (OSError, http.client.HTTPException):
                lost += 1
                connection.close()
            if not keep_alive:
                connection.close()

    with serving(environment, workers=2) as [server], ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(claim, server.port) for _ in range(8)]
        deadline = time.monotonic() + 20
        while len(answers) <= 200:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert server.stop() == 0
        lost = sum(client.result() for client in clients)
    assert set(answers) == {200}
    assert lost == 0


def test_a_worker_hears_a_stop_from_its_fork_on(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it in the copied queue of the master or before the worker has got its handlers: it never serves."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    post_fork = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))["post_fork"]
    before, queued, sent, spared = signal.getsignal(signal.SIGTERM), *(SimpleNamespace(alive=True) for _ in range(3))
    try:
        for worker, signals in ((queued, [signal.SIGHUP, signal.SIGTERM]), (spared, [signal.SIGHUP]), (sent, [])):
            master = SimpleNamespace(SIG_QUEUE=SimpleQueue[int]())
            for number in signals:
                master.SIG_QUEUE.put(number)
            post_fork(master, worker)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (queued.alive, sent.alive, spared.alive) == (False, False, True)


def test_workers_share_the_cores_among_their_hashes(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shared = list[int]()
    monkeypatch.setattr(passwords, "share_cores", shared.append)
    post_worker_init = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))["post_worker_init"]
    database = SimpleNamespace(open=lambda size: None)
    flask = SimpleNamespace(extensions={EXTENSION: SimpleNamespace(db=database)})
    post_worker_init(SimpleNamespace(cfg=SimpleNamespace(workers=3, threads=48), wsgi=flask))
    assert shared == [3]


def test_a_busy_worker_leaves_a_connection_to_another() -> None:
    """It comes later to accept, the more it has: measured over two processes, sixteen become eight and eight."""

    def seconds_before_accepting(connections: int) -> float:
        worker, came = Worker.__new__(Worker), []

        def accept() -> None:
            came.append(time.perf_counter())
            raise BlockingIOError(errno.EAGAIN, "another one was faster")

        worker.nr_conns, started = connections, time.perf_counter()
        worker.accept(SimpleNamespace(accept=accept))
        assert worker.nr_conns == connections
        return came[0] - started

    assert min(seconds_before_accepting(8) for _ in range(5)) >= 0.0004
    assert min(seconds_before_accepting(0) for _ in range(5)) < 0.0003
    assert min(seconds_before_accepting(800) for _ in range(5)) < 0.002  # it does come


class Hands:
    """A worker whose threads do nothing by themselves; it has these connections with something to read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
        self.begun = list[object]()
        self.worker = Worker(0, 0, [], None, 30, Config(), None)
        self.worker.tmp.close()
        self.worker.tpool = SimpleNamespace(submit=self._submit)
        self.worker.method_queue = SimpleNamespace(defer=lambda call, *arguments: call(*arguments))
        monkeypatch.setattr(ThreadWorker, "wait_for_and_dispatch_events", lambda *_: None)
        monkeypatch.setattr(ThreadWorker, "handle", lambda *_: True)
        self.connections = [object() for _ in range(waiting)]
        for connection in self.connections:
            self.worker.enqueue_req(connection)
        self.look()

    def look(self) -> None:
        self.worker.wait_for_and_dispatch_events(1)

    def _submit(self, _: object, connection: object) -> Future[bool]:
        self.begun.append(connection)
        return Future()


def test_a_worker_begins_few_requests_at_once_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLOW_SECONDS", 60)
    hands = Hands(monkeypatch, worker.AT_WORK + 2)
    assert hands.begun == hands.connections[: worker.AT_WORK]
    hands.look()
    assert len(hands.begun) == worker.AT_WORK
    for done in 0, 1:
        hands.worker.handle(hands.connections[done])
        hands.look()
        assert hands.begun == hands.connections[: worker.AT_WORK + done + 1]


def test_requests_that_wait_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for longer than a moment, and not at all where they say that they are about to wait."""
    hands = Hands(monkeypatch, worker.AT_WORK + 1)
    assert len(hands.begun) == worker.AT_WORK
    time.sleep(worker.SLOW_SECONDS)
    hands.look()
    assert hands.begun == hands.connections

    monkeypatch.setattr(worker, "SLOW_SECONDS", 60)
    hands = Hands(monkeypatch, worker.AT_WORK + 1)
    seen = list[object]()

    def handle(*_: object) -> None:
        waiting.about_to_wait()
        seen.extend(hands.begun)

    monkeypatch.setattr(ThreadWorker, "handle", handle)
    hands.worker.handle(hands.connections[0])
    assert seen == hands.connections


def test_requests_that_are_stuck_hold_up_no_others(environment: dict[str, str], world: World) -> None:
    """Eight that wait for a lock, which takes over a second, keep nobody else waiting."""
    bearer, token = world.service().access_token, world.session().refresh_token
    with serving(environment) as [server], ThreadPoolExecutor(8) as pool, world.db.transaction() as transaction:
        transaction.one("jti_claim_insert", jti=(jti := secrets.token_hex(8)))
        stuck = [pool.submit(server.client().claim, bearer, jti) for _ in range(8)]
        time.sleep(0.2)
        started = time.monotonic()
        assert server.api.refresh(token).status == 200
        assert time.monotonic() - started < 1
        assert not any(claim.done() for claim in stuck)
