"""The whole site: etcd, three members, two servers of ours, and haproxy in front of both."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from auth.cli.common import DirectDatabase
from auth.cli.keys import generate_private_key
from auth.cli.migrations import migrate
from auth.core.keys import Keyring, load_private_key
from auth.core.tokens import AccessTokens

from ..support.servers import free_port, serving
from ..support.world import World
from .patroni import POSTGRES, Member, start, wait_for

PACKAGES: Final = {"etcd": "etcd-server", "patroni": "patroni", "haproxy": "haproxy", "postgres": "postgresql-15"}
PATH: Final = f"/usr/sbin:/usr/bin:{POSTGRES}"
MISSING: Final = [package for program, package in PACKAGES.items() if not shutil.which(program, path=PATH)]
SERVERS: Final = 2  # of ours, with one process each
CONNECTION_LIMIT: Final = 40
HAPROXY: Final = """
defaults
  timeout connect 1s
  timeout check 1s
  timeout client 1h
  timeout server 1h
  default-server check inter 500ms fall 2 rise 1
listen database
  bind 127.0.0.1:{database}
  mode tcp
  option httpchk GET /primary
  default-server on-marked-down shutdown-sessions
{members}
listen service
  bind 127.0.0.1:{service}
  mode http
  option httpchk GET /livez
{servers}
"""
MEMBER: Final = "  server {0.name} 127.0.0.1:{0.port} check port {0.rest_port}\n"
SERVER: Final = "  server auth{0.port} 127.0.0.1:{0.port}\n"


class Site:
    """The members, and the port on which clients find the service."""

    def __init__(self, members: list[Member], port: int, world: World) -> None:
        self.members, self.port, self.world = members, port, world

    def primary(self) -> Member:
        """The member that accepts writes, as soon as there is one."""
        return wait_for("primary", lambda: next((member for member in self.members if member.is_primary()), None))

    def standby(self) -> Member:
        """The member that is the synchronous standby."""
        [name] = self.primary().execute("SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'")
        return next(member for member in self.members if (member.name,) == name)

    def is_promoted(self, old: Member) -> bool:
        """Whether there is another primary than this one."""
        return any(member.is_primary() for member in self.members if member is not old)

    def is_whole(self) -> bool:
        """Whether the primary has both its standbys, one of them synchronous."""
        states = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1"
        return self.primary().execute(states) == [("async",), ("sync",)]

    def connections(self) -> int:
        """How many connections the service has to the primary."""
        [[count]] = self.primary().execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth'")
        return int(count)


@contextmanager
def site() -> Iterator[Site]:
    """All of it, in a folder that is deleted in the end. haproxy starts first, before it has seen any server fail."""
    folder, etcd, database, service = (
        Path(tempfile.mkdtemp(prefix="auth-cluster-")),
        free_port(),
        free_port(),
        free_port(),
    )
    url, pem = f"postgresql://auth@127.0.0.1:{database}/auth", generate_private_key("ES256")
    world = World(DirectDatabase(url), AccessTokens(Keyring(load_private_key(pem)), "cloud.sdu.dk"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        site = Site([Member(folder / name, etcd) for name in ("one", "two", "three")], service, world)
        environment = {"DATABASE_URL": url, "JWT_PRIVATE_KEY": pem}
        servers = stack.enter_context(serving(environment, SERVERS, log=folder / "servers.log"))
        lines = {
            "members": "".join(MEMBER.format(member) for member in site.members),
            "servers": "".join(SERVER.format(server) for server in servers),
        }
        (folder / "haproxy.cfg").write_text(HAPROXY.format(database=database, service=service, **lines))
        _run(folder, stack, "haproxy", "-db", "-f", "haproxy.cfg")
        _run(folder, stack, "etcd", *_etcd_options(etcd, free_port()))
        for member in site.members:
            member.start()
            stack.callback(member.kill)
            wait_for("primary", site.members[0].is_primary)  # the others are copied from it
        wait_for("standbys", site.is_whole)
        site.primary().execute(f"CREATE ROLE auth LOGIN CONNECTION LIMIT {CONNECTION_LIMIT}")
        site.primary().execute("CREATE DATABASE auth OWNER auth")
        migrate(DirectDatabase(url))
        yield site


def _etcd_options(port: int, peer_port: int) -> list[str]:
    clients, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    options = [
        "--data-dir=etcd",
        "--enable-v2",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
    ]
    options += [f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"]
    return [*options, f"--initial-cluster=default={peers}"]


def _run(folder: Path, stack: ExitStack, *command: str) -> None:
    """Run the program until the end."""
    process = start(folder, *command)
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)
