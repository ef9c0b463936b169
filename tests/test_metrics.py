"""The numbers that Prometheus reads, over all worker processes."""

import os
import shutil
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from .support.api import Api
from .support.proxy import Proxy
from .support.second_factor import Authenticator, challenge_of, new_owner
from .support.servers import Server, serving
from .support.world import PASSWORD, World

pytestmark = pytest.mark.xdist_group("metrics")


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment, workers=2) as [server]:
        yield server


def numbers(api: Api) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = api.call("GET", "/metrics")
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.body.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def number(api: Api, name: str, **labels: str) -> float:
    return numbers(api).get((name, frozenset(labels.items())), 0.0)


def growth(api: Api, act: Callable[[], object], name: str, **labels: str) -> float:
    before = number(api, name, **labels)
    act()
    return number(api, name, **labels) - before


def test_requests_are_counted_over_all_workers(server: Server, world: World) -> None:
    token = world.session().refresh_token

    def refresh_often() -> None:
        with ThreadPoolExecutor(8) as pool:
            assert {answer.status for answer in pool.map(server.api.refresh, [token] * 100)} == {200}

    assert growth(server.api, refresh_often, "auth_requests_total", rpc="refresh", status="200") == 100
    assert growth(server.api, refresh_often, "auth_request_seconds_count", rpc="refresh") == 100
    assert growth(server.api, refresh_often, "auth_request_seconds_bucket", rpc="refresh", le="+Inf") == 100
    assert 0 < growth(server.api, refresh_often, "auth_request_seconds_sum", rpc="refresh") < 100 * 5
    assert len(workers_of(server)) == 2


def workers_of(server: Server) -> list[int]:
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_security_events_are_counted_by_outcome(server: Server, world: World) -> None:
    api, user, name = server.api, world.user(), world.login_service()
    session, service = world.session(), world.service("files:write")
    jti = api.request_one_time_token(session.access_token, "files:read").json["jti"]
    for act, event, outcome in (
        (lambda: api.login(user, PASSWORD, name), "login", "success"),
        (lambda: api.login(user, "wrong", name), "login", "INCORRECT_CREDENTIALS"),
        (lambda: api.refresh("unknown"), "refresh", "INVALID_TOKEN"),
        (lambda: api.claim(service.access_token, jti), "claim", "success"),
        (lambda: api.claim(service.access_token, jti), "claim", "ALREADY_CLAIMED"),
        (lambda: api.extend(service.access_token, session.access_token, "files:read"), "extension", "success"),
        (lambda: api.logout(session.refresh_token), "logout", "success"),
    ):
        assert growth(api, act, "auth_security_events_total", event=event, outcome=outcome) == 1


def test_events_of_the_second_factor_are_counted_by_outcome(server: Server, world: World) -> None:
    api, name, session = server.api, world.login_service(), world.session()
    owner, other, bearer = new_owner(api, world), new_owner(api, world), session.access_token
    made = api.create_credentials(bearer).ok()
    setup, app = made["challengeId"], Authenticator(made["secret"])
    challenge, recovered = challenge_of(api, owner.id, name), challenge_of(api, other.id, name)
    adding, removal, token = "second factor", "second factor removal", owner.session.access_token
    for act, event, outcome in (
        (lambda: api.answer_challenge(setup, app.wrong_code(), bearer), adding, "INCORRECT_CODE"),
        (lambda: api.answer_challenge(setup, app.code(), bearer), adding, "success"),
        (lambda: api.answer_challenge(setup, app.code(), bearer), adding, "SECOND_FACTOR_CONNECTED"),
        (lambda: api.answer_challenge("x", app.code()), adding, "INVALID_CHALLENGE"),
        (lambda: api.answer_challenge(challenge, owner.app.code()), adding, "success"),
        (lambda: api.answer_challenge(recovered, other.recovery_code), adding, "success"),
        (lambda: api.remove_credentials(token, "wrong", owner.recovery_code), removal, "INCORRECT_CREDENTIALS"),
        (lambda: api.remove_credentials(token, PASSWORD, owner.recovery_code), removal, "success"),
    ):
        assert growth(api, act, "auth_security_events_total", event=event, outcome=outcome) == 1


def test_ended_tokens_and_waits_for_a_processor_are_counted(server: Server, world: World) -> None:
    api, service, sessions = server.api, world.service(), [world.session().refresh_token for _ in range(3)]
    ended = growth(
        api, lambda: api.bulk_invalidate(service.access_token, [*sessions, "x"]), "auth_refresh_tokens_revoked_total"
    )
    assert ended == 3
    user, name = world.user(), world.login_service()
    assert growth(api, lambda: api.login(user, PASSWORD, name), "auth_hash_wait_seconds_count") == 1


def test_an_unknown_path_makes_no_series(server: Server) -> None:
    """Otherwise a client could fill the memory of Prometheus."""
    for path in ("/secret-1", "/secret-2", "/auth/sessions/secret-3"):
        server.api.call("DELETE", path)
    assert "secret" not in server.api.call("GET", "/metrics").body.decode()
    assert number(server.api, "auth_requests_total", rpc="none", status="404") >= 2


def test_faults_of_the_database_are_counted(environment: dict[str, str], database_url: str, world: World) -> None:
    """Of 24 requests twelve wait for the database, and the others for a connection."""
    proxy = Proxy(database_url)
    with serving({**environment, "DATABASE_URL": proxy.url()}) as [server]:
        token = world.session().refresh_token
        with ThreadPoolExecutor(24) as pool:
            assert {answer.status for answer in pool.map(server.api.refresh, [token] * 24)} == {200}
            proxy.swallow()
            assert {answer.status for answer in pool.map(server.api.refresh, [token] * 24)} == {503}
        proxy.heal()
        counted = {
            dict(labels)["kind"]: count
            for (name, labels), count in numbers(server.api).items()
            if name == "auth_database_errors_total"
        }
        assert sum(counted.values()) == 24
        assert counted["NoFreeConnection"] >= 2
    proxy.close()


def test_metrics_that_cannot_be_kept_change_no_answer(
    environment: dict[str, str], world: World, tmp_path: Path
) -> None:
    """The folder is deleted while workers start and stop."""
    token = world.session().refresh_token
    with serving(environment) as [server]:
        folder = folder_of(server)
        shutil.rmtree(folder)
        assert server.api.call("GET", "/metrics").status == 200
        folder.rmdir()
        [worker] = workers_of(server)
        os.kill(worker, signal.SIGKILL)
        server.wait_until_up()
        assert server.api.refresh(token).status == 200
        assert number(server.api, "auth_requests_total", rpc="refresh", status="200") == 1


def test_the_folder_goes_with_the_service(environment: dict[str, str]) -> None:
    with serving(environment) as [server]:
        folder = folder_of(server)
        assert folder.is_dir()
    assert not folder.exists()


def test_every_file_has_its_place_on_the_disk(server: Server) -> None:
    """Writing to a mapped file kills the process where the disk is full, so each kind of file is stored as a whole."""
    files = {file.name: file.stat() for file in folder_of(server).iterdir()}
    assert sorted(files) == ["counter_0.db", "counter_1.db", "histogram_0.db", "histogram_1.db"]
    assert all(stat.st_blocks * 512 >= stat.st_size == 65536 for stat in files.values())


def test_no_metric_is_a_gauge(api: Api) -> None:
    """A worker's files outlive it, so a gauge would show its last value for ever; and its own file has no place yet."""
    families = text_string_to_metric_families(api.call("GET", "/metrics").body.decode())
    own = [family for family in families if not family.name.endswith("_created")]  # times, which files do not have
    assert {family.type for family in own} == {"counter", "histogram"}


def folder_of(server: Server) -> Path:
    """Where the server's processes keep their metrics: in files that the workers map."""
    mapped = [path for worker in workers_of(server) for path in psutil.Process(worker).memory_maps()]
    [folder] = {Path(file.path).parent for file in mapped if "/metrics-of-auth-" in file.path}
    return folder


def test_an_unreadable_request_is_counted(server: Server) -> None:
    def nonsense() -> None:
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")

    assert growth(server.api, nonsense, "auth_requests_total", rpc="none", status="400") == 1


def test_workers_that_die_keep_their_counts_and_leave_no_files(environment: dict[str, str], world: World) -> None:
    """A new worker counts on in the files of the dead one, however often workers die."""
    token, sizes = world.session().refresh_token, set[int]()
    with serving(environment) as [server]:
        folder = folder_of(server)
        for count in (1, 2, 3):
            assert server.api.refresh(token).status == 200
            assert number(server.api, "auth_requests_total", rpc="refresh", status="200") == count
            sizes.add(sum(file.stat().st_size for file in folder.iterdir()))
            [worker] = workers_of(server)
            os.kill(worker, signal.SIGKILL)
            server.wait_until_up()
        assert number(server.api, "auth_requests_total", rpc="refresh", status="200") == count
        assert len(sizes) == 1


def test_two_living_workers_never_count_in_one_file(environment: dict[str, str], world: World) -> None:
    """Old and new workers live side by side after HUP. Counts of old ones stay, and the second HUP adds no file."""
    token, files, statuses = world.session().refresh_token, list[list[str]](), Counter[int]()
    with serving(environment, workers=2) as [server], ThreadPoolExecutor(4) as pool:
        for _round in range(3):
            running = [pool.submit(server.client().refresh, token) for _ in range(100)]
            old = workers_of(server)
            server.process.send_signal(signal.SIGHUP)
            statuses.update(answer.result().status for answer in running)
            assert set(statuses) <= {200, 503}  # a busy machine may be too slow
            psutil.wait_procs([psutil.Process(pid) for pid in old if psutil.pid_exists(pid)], timeout=60)
            for status, count in statuses.items():
                assert number(server.api, "auth_requests_total", rpc="refresh", status=str(status)) == count
            files.append(sorted(file.name for file in folder_of(server).iterdir()))
        assert files[1] == files[2]
