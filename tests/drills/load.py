"""A load of every kind of call, in which each answer is expected, on servers that are replaced meanwhile."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from auth.core.refresh_tokens import csrf_token
from dev.bench.rows import SERVICE_TOKEN

from ..support.api import Answer, Api, Headers, any_address, send_to_server
from ..support.servers import Server
from ..support.world import ORIGIN, PASSWORD, claims

CLIENTS = 4
PAUSE_SECONDS = 0.02  # of a client before each request, so that the load does not use all of the processor
DRAIN_SECONDS = 1  # from the choice of a server to the end of its connections


class Load:
    """Clients that share the requests out among the servers, as a proxy would, and tokens that must go on."""

    def __init__(self, servers: list[Server], rows: int) -> None:
        self.servers = servers
        self.failures: list[Any] = []
        self._rows = rows
        self._took: list[float] = []
        self._statuses = Counter[int]()
        self._kept: list[tuple[str, str]] = []  # refresh tokens and their sessions
        self._random = random.Random(1)
        api = Api(self._send)
        for number in range(20):
            self._keep(api, f"login-{1 + CLIENTS + number}")

    def replace(self, old: Server, new: Server) -> None:
        """Send no more requests to the old server, and then stop it."""
        new.wait_until_up()
        self.servers = [new if server is old else server for server in self.servers]
        time.sleep(DRAIN_SECONDS)
        assert old.stop() == 0

    @contextmanager
    def running(self) -> Iterator[None]:
        ending = threading.Event()

        def work(client: int) -> None:
            api = Api(self._send)
            while not ending.is_set():
                try:
                    self._work(api, f"login-{client}")
                except (OSError, LookupError, TypeError, ValueError) as fault:
                    self.failures.append(repr(fault))

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(work, client) for client in range(1, CLIENTS + 1)]
            try:
                yield
            finally:
                ending.set()
        for each in clients:
            each.result()

    def report(self, phase: str) -> None:
        """Check every kept token, and print the figures since the last report."""
        for number in range(len(self._kept)):
            self._refresh_kept(Api(self._send), number)
        took, statuses = sorted(self._took), dict(sorted(self._statuses.items()))
        self._took, self._statuses = [], Counter()
        p99 = took[len(took) * 99 // 100]
        print(f"{phase:36} {len(took)} requests {statuses}, p99 {p99:.2f} s, longest {took[-1]:.2f} s", flush=True)

    def _send(self, method: str, path: str, headers: Headers, body: bytes | None) -> Answer:
        time.sleep(PAUSE_SECONDS)
        server = self._random.choice(self.servers)
        started = time.monotonic()
        answer = send_to_server(server.port, any_address())(method, path, headers, body)
        self._took.append(time.monotonic() - started)
        self._statuses[answer.status] += 1
        return answer

    def _expect(self, status: int, answer: Answer) -> Any:
        if answer.status != status:
            self.failures.append((status, answer.status, answer.body))
        return answer.json if answer.body else None

    def _work(self, api: Api, person: str) -> None:
        tokens = self._expect(200, api.login(person, PASSWORD, "app"))
        refresh_token = tokens["refreshToken"]
        access_token = self._expect(200, api.refresh(refresh_token))["accessToken"]
        self._expect(200, api.web_refresh(refresh_token, csrf_token(refresh_token), ORIGIN))
        self._expect(200, api.sessions(access_token))
        bearer = self._expect(200, api.refresh(SERVICE_TOKEN))["accessToken"]
        one_time = self._expect(200, api.request_one_time_token(access_token, "files:read"))
        for status in (200, 409):
            self._expect(status, api.claim(bearer, claims(one_time["accessToken"])["jti"]))
        self._expect(200, api.extend(bearer, access_token, "files:read"))
        delegation = self._expect(200, api.extend(bearer, access_token, "files:read", refreshes=True))["refreshToken"]
        self._expect(200, api.refresh(delegation))
        for _ in range(5):
            self._expect(200, api.refresh(f"t{self._random.randint(1, self._rows):012}"))
        self._refresh_kept(api, self._random.randrange(len(self._kept)))
        self._expect(200, api.logout(refresh_token))
        self._expect(401, api.refresh(refresh_token))
        self._expect(200, api.bulk_invalidate(bearer, [delegation]))
        self._expect(401, api.refresh(delegation))

    def _keep(self, api: Api, person: str) -> None:
        """A session and a delegation that must go on to the end."""
        session = api.login(person, PASSWORD, "app").ok()
        bearer = api.refresh(SERVICE_TOKEN).ok()["accessToken"]
        delegation = api.extend(bearer, session["accessToken"], "files:read", refreshes=True).ok()
        for tokens in (session, delegation):
            self._kept.append((tokens["refreshToken"], claims(tokens["accessToken"])["publicSessionReference"]))

    def _refresh_kept(self, api: Api, number: int) -> None:
        token, reference = self._kept[number]
        answer = self._expect(200, api.refresh(token))
        assert claims(answer["accessToken"])["publicSessionReference"] == reference
