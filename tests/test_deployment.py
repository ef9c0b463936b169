"""The service as a platform runs it: the Procfile's processes, what the environment says, and a router in front."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import packages_distributions
from pathlib import Path

import psutil
import pytest

from auth.cli.keys import generate_private_key

from .support.api import COOKIE, Api, any_address, send_to_server
from .support.databases import NewDatabase
from .support.programs import missing
from .support.router import routed
from .support.servers import BIN, PROJECT, Server, free_port
from .support.world import ORIGIN, PASSWORD

INSTRUCTION = re.compile(r"^([A-Z]+) (.+)$", re.MULTILINE)
NAMES = ("--first-names", "Ada", "--last-name", "Lovelace")


def dockerfile(instruction: str) -> list[str]:
    """What follows that word, line by line."""
    return [rest for word, rest in INSTRUCTION.findall((PROJECT / "Dockerfile").read_text()) if word == instruction]


class Slug:
    """A folder that holds what the Dockerfile copies and nothing else, and the environment that it is given."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.home = home
        self.port = free_port()
        self.environment = {
            "PATH": f"{BIN}:{os.defpath}",
            "PORT": str(self.port),
            "DATABASE_URL": database_url.replace("postgresql://", "postgres://", 1),
            "JWT_PRIVATE_KEY": generate_private_key("ES256").replace("\n", "\\n"),
            "TRUSTED_ORIGINS": ORIGIN,
            "TRUSTED_PROXIES": "1",
        }
        for copy in dockerfile("COPY"):
            *sources, target = copy.split()
            for name in sources:
                if (PROJECT / name).is_dir():
                    shutil.copytree(PROJECT / name, home / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(PROJECT / name, home / target)

    def run(self, *command: str, stdin: str = "") -> str:
        """What a command prints, which must succeed."""
        finished = subprocess.run(
            command, cwd=self.home, env=self.environment, input=stdin, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def procfile(self, process_type: str) -> list[str]:
        """The command that runs a line of the Procfile."""
        return [str(BIN / "honcho"), "-f", str(PROJECT / "Procfile"), "-d", str(self.home), "start", process_type]

    @contextmanager
    def serving(self) -> Iterator[psutil.Process]:
        """The Procfile's `web`, once it answers."""
        with (self.home / "log").open("w") as log:
            process = psutil.Popen(self.procfile("web"), env=self.environment, stdout=log, stderr=log)
            started: list[psutil.Process] = []
            try:
                self._wait_until_up(process)
                started = process.children(recursive=True)
                yield process
            finally:
                for left in (process, *started):
                    with suppress(psutil.NoSuchProcess):
                        left.terminate()
                process.wait(30)

    def _wait_until_up(self, process: psutil.Process) -> None:
        api = Api(send_to_server(self.port))
        for _ in range(400):
            with suppress(OSError):
                assert api.call("GET", "/readyz").status == 200
                return
            assert process.poll() is None, (self.home / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("the service did not answer")


@pytest.fixture
def slug(server_url: str) -> Iterator[Slug]:
    home = Path(tempfile.mkdtemp(prefix="auth-slug-"))
    with NewDatabase(server_url) as url:
        yield Slug(home, url)
    shutil.rmtree(home)


def test_the_procfile_is_all_a_platform_needs(slug: Slug) -> None:
    """Released on an empty database, then served: a login behind the router, and the refresh of a browser."""
    assert "applied 0001" in slug.run(*slug.procfile("release"))
    create = ("flask", "users", "create", "ada@example.org", "--role", "USER", *NAMES, "--password-stdin")
    slug.run(*create, stdin=PASSWORD)
    slug.run("flask", "login-services", "create", "portal", "--endpoint", f"{ORIGIN}/", "--mode", "WEB")
    client, forged = any_address(), any_address()
    with slug.serving(), routed(slug.port, client) as port:
        api = Api(send_to_server(port))
        login = api.login("ada@example.org", PASSWORD, "portal", Origin=ORIGIN, X_Forwarded_For=forged)
        tokens, cookie = login.ok(), login.cookies[COOKIE]
        assert COOKIE == "__Host-refreshToken"
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        assert api.sessions(tokens["accessToken"]).ok()["items"][0]["ipAddress"] == client
        refreshed = api.web_refresh(cookie.value, tokens["csrfToken"], ORIGIN).ok()
        assert api.sessions(refreshed["accessToken"]).ok()["itemsInTotal"] == 1
        api.web_refresh(cookie.value, tokens["csrfToken"], "https://evil.example").refused(400, "UNTRUSTED_ORIGIN")
        api.web_refresh(cookie.value, tokens["csrfToken"][::-1], ORIGIN).refused(401, "INVALID_TOKEN")


def runs(process: psutil.Process) -> bool:
    """Whether the process runs and is not a zombie."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def test_a_platforms_sigterm_stops_every_process(slug: Slug) -> None:
    """Every process gets it, also a worker that was forked a moment ago; no process has to be killed."""
    slug.run(*slug.procfile("release"))
    with slug.serving() as process:
        started = process.children(recursive=True)
        assert sum("gunicorn" in " ".join(child.cmdline()) for child in started) >= 2  # the arbiter and a worker
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert not any(map(runs, psutil.wait_procs(started, timeout=30)[1]))
        assert "SIGKILL" not in (slug.home / "log").read_text()


LISTENING = """if True:
    import subprocess, sys, time
    from contextlib import suppress
    from http.client import HTTPConnection

    def answers(address):
        with suppress(OSError):
            connection = HTTPConnection(address, 8080)
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200

    server = subprocess.Popen(["gunicorn", "app:app"])
    while not answers("127.0.0.1"):
        assert server.poll() is None
        time.sleep(0.05)
    print(*filter(answers, ("127.0.0.1", "::1")))
    server.terminate()
    sys.exit(server.wait())
"""


@pytest.mark.parametrize(
    ("setting", "listening"),
    [
        ("bindv6only 0", "127.0.0.1 ::1\n"),
        ("bindv6only 1", "127.0.0.1 ::1\n"),
        ("conf/all/disable_ipv6 1", "127.0.0.1\n"),
    ],
)
def test_it_listens_on_ipv4_and_ipv6_where_the_machine_has_both(
    environment: dict[str, str], setting: str, listening: str
) -> None:
    """On a network of its own, with that setting of the kernel."""
    name, value = setting.split()
    network = f"ip link set lo up && echo {value} > /proc/sys/net/ipv6/{name}"
    alone = ("unshare", "--net", "sh", "-c", f'{network} && exec "$@"', "sh")
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        missing("a network namespace: root, and iproute2")
    finished = subprocess.run(
        [*alone, sys.executable, "-c", LISTENING], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "WEB_CONCURRENCY": "1", "LOG_LEVEL": "warning", **environment},
    )  # fmt: skip
    assert finished.stdout == listening


def test_a_kernel_without_ipv6_is_enough(environment: dict[str, str]) -> None:
    """Such a kernel, and systemd's RestrictAddressFamilies, refuse the socket itself."""
    program = """if True:
        import errno, runpy, socket

        class Socket(socket.socket):
            def __init__(self, family, *arguments):
                if family == socket.AF_INET6:
                    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
                super().__init__(family, *arguments)

        socket.socket = Socket
        print(runpy.run_path("gunicorn.conf.py")["bind"])
    """
    command = [sys.executable, "-c", program]
    given = {**environment, "PORT": "9999"}
    finished = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, check=True)
    assert finished.stdout == "['0.0.0.0:9999']\n"


def test_the_platforms_python_is_one_that_every_pin_installs_on() -> None:
    """Heroku reads `.python-version`, where major and minor mean the latest patch."""

    def version(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    [chosen] = (PROJECT / ".python-version").read_text().split()
    [(oldest, newest)] = re.findall(r"Python (3\.\d+) to (3\.\d+)", (PROJECT / "requirements.txt").read_text())
    assert re.fullmatch(r"3\.\d+", chosen)
    assert version(oldest) <= version(chosen) <= version(newest)


def test_the_image_is_what_the_procfile_runs() -> None:
    """As nobody, on the platform's Python, with nothing in the build's context but what is copied."""
    [web] = re.findall(r"^web: (.+)$", (PROJECT / "Procfile").read_text(), re.MULTILINE)
    assert [json.loads(command) for command in dockerfile("CMD")] == [shlex.split(web)]
    assert [int(user) > 0 for user in dockerfile("USER")] == [True]
    assert dockerfile("FROM") == [f"python:{(PROJECT / '.python-version').read_text().strip()}-slim"]
    copied = [f"!{name}" for copy in dockerfile("COPY") for name in copy.split()[:-1]]
    rules = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules == ["*", *copied, "**/__pycache__"]


def test_the_image_installs_all_that_is_imported(slug: Slug) -> None:
    """Packages that only the requirements in dev/ install are not in the image."""
    load = "import app, auth.ops.worker, runpy; app.app; runpy.run_path('gunicorn.conf.py')"
    program = f"import sys; before = {{*sys.modules}}; {load}; print(*{{*sys.modules}} - before)"
    imported = {name.partition(".")[0] for name in slug.run("python", "-c", program).split()}
    pins = (PROJECT / "requirements.txt").read_text()
    installed = set(re.findall(r"^([\w-]+)(?:\[.+\])?==", pins, re.MULTILINE))
    brought = {name: {normal(d) for d in found} for name, found in packages_distributions().items() if name in imported}
    assert {"flask", "gunicorn", "psycopg"} <= brought.keys()
    assert {name: found for name, found in brought.items() if not found & installed} == {}


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


READ_ONLY = """#!/bin/sh
exec unshare --mount sh -ec '
mount --make-rprivate /
mount --bind {project} /mnt
for folder in /tmp /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs $folder; done
mkdir -p {project}
mount --bind /mnt {project}
{limits}
mount -o remount,bind,ro /
exec setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search \\
  {gunicorn} "$@"
' gunicorn "$@"
"""  # the capability to read like root, since Python may be in root's home; the project may be in a folder of /tmp
WRITABLE = {
    "/tmp alone": "mount -o remount,ro /dev/shm",
    "/dev/shm alone": "mount -o remount,ro /tmp",
    "/tmp, and a full /dev/shm": "mount -o remount,size=4k /dev/shm; head -c 4096 /dev/zero > /dev/shm/file",
}


@pytest.fixture(scope="module")
def may_mount() -> None:
    trial = subprocess.run(["unshare", "--mount", "mount", "--make-rprivate", "/"], capture_output=True, check=False)
    if trial.returncode != 0:
        pytest.skip("this machine lets nobody mount")


@pytest.mark.parametrize("writable", WRITABLE)
def test_one_writable_folder_is_enough(
    environment: dict[str, str], may_mount: None, tmp_path: Path, writable: str
) -> None:
    """Kubernetes' `readOnlyRootFilesystem`, for a user without a name and a home; the counts are of all workers."""
    program = tmp_path / "gunicorn"
    program.write_text(READ_ONLY.format(limits=WRITABLE[writable], gunicorn=BIN / "gunicorn", project=PROJECT))
    program.chmod(0o700)
    server = Server(environment, programs=tmp_path)
    try:
        server.wait_until_up()
        assert server.api.call("GET", "/livez").status == 200
        assert b'auth_requests_total{rpc="livez",status="200"} 1.0' in server.api.call("GET", "/metrics").body
        [worker] = psutil.Process(server.process.pid).children()
        used = {Path(file.path).parent.parent.name for file in worker.memory_maps() if "/metrics-of-auth-" in file.path}
        assert used == {"tmp" if writable.startswith("/tmp") else "shm"}
    finally:
        assert server.stop() == 0
