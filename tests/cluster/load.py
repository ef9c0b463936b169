"""Clients that log in, refresh, claim, extend and log out all the time, and a record of the answers."""

import http.client
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread
from typing import Final, NamedTuple

from ..support.api import Answer, Api, any_address, send_to_server
from ..support.world import PASSWORD, World

PAUSE: Final = 0.1  # seconds of a client between two requests


class Record(NamedTuple):
    call: str
    started: float
    ended: float
    outcome: str  # the status, and with 503 its error code


class Load:
    """Two threads for each call. The lists hold what was acknowledged."""

    def __init__(self, port: int, world: World) -> None:
        self._port = port
        self._login_service, self._users = world.login_service(), [world.user() for _ in range(8)]
        self._services = [world.service("files:read") for _ in range(20)]  # each may have 100 delegations of the person
        self._session = world.session()
        self._stopped, self._numbers = Event(), count()
        self.records: list[Record] = []
        self.live = [self._session.refresh_token]
        self.to_end: list[str] = []
        self.ended: list[str] = []
        self.delegations: list[str] = []
        self.asked: dict[str, list[str]] = defaultdict(list)  # the keys of claims by their jti
        self.won: dict[str, list[str]] = defaultdict(list)  # those that were answered 200

    @contextmanager
    def running(self) -> Iterator[None]:
        calls = [self._login, self._refresh, self._claim, self._extend, self._log_out]
        threads = [Thread(target=self._repeat, args=[call]) for call in calls for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def _repeat(self, call: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            call()
            time.sleep(PAUSE)

    def _ask(self, call: str, request: Callable[[Api], Answer]) -> Answer | None:
        """The answer when it is a success."""
        started = time.monotonic()
        try:
            answer = request(self._api())
            outcome = f"503 {answer.json['errorCode']}" if answer.status == 503 else str(answer.status)
        except (OSError, http.client.HTTPException, ValueError) as fault:  # ValueError: a 503 of haproxy's
            answer, outcome = None, type(fault).__name__
        self.records.append(Record(call, started, time.monotonic(), outcome))
        return answer if answer and answer.status == 200 else None

    def _api(self) -> Api:
        return Api(send_to_server(self._port, any_address()))

    def _login(self) -> None:
        """Every second session is for `_log_out`."""
        user, tokens = random.choice(self._users), random.choice((self.live, self.to_end))
        answer = self._ask("login", lambda api: api.login(user, PASSWORD, self._login_service))
        if answer:
            tokens.append(answer.json["refreshToken"])

    def _refresh(self) -> None:
        token = random.choice(self.live)
        self._ask("refresh", lambda api: api.refresh(token))

    def _claim(self) -> None:
        """Each jti goes to two threads, or twice to one, and each time with another key."""
        number = next(self._numbers)
        jti, key = f"{self._session.id}-{number // 2}", f"key-{number}"
        self.asked[jti].append(key)
        if self._ask("claim", lambda api: api.claim(self._services[0].access_token, jti, key)):
            self.won[jti].append(key)

    def _extend(self) -> None:
        bearer, valid_jwt = random.choice(self._services).access_token, self._session.access_token
        answer = self._ask("extend", lambda api: api.extend(bearer, valid_jwt, "files:read", refreshes=True))
        if answer:
            self.delegations.append(answer.json["refreshToken"])

    def _log_out(self) -> None:
        try:
            token = self.to_end.pop()
        except IndexError:
            return
        if self._ask("logout", lambda api: api.logout(token)):
            self.ended.append(token)

    def by_call(self) -> dict[str, list[Record]]:
        """The records of each call."""
        records = defaultdict[str, list[Record]](list)
        for record in self.records:
            records[record.call].append(record)
        return records

    def throughput(self, start: float, end: float) -> float:
        """How many requests succeeded in a second of that time; a claim that was won before counts too."""
        ended = [record for record in self.records if start < record.ended < end]
        return sum(record.outcome in ("200", "409") for record in ended) / (end - start)

    def check(self) -> Counter[str]:
        """Ask again for everything that was acknowledged, and count what was checked, lost and doubled."""
        with ThreadPoolExecutor(4) as pool:
            live = list(pool.map(self._is_live, [*self.live, *self.to_end, *self.delegations]))
            ended = list(pool.map(self._is_live, self.ended))
            claims = list(pool.map(self._winners, list(self.asked)))
        lost = live.count(False) + ended.count(True) + claims.count("lost")
        return Counter(checked=len(live) + len(ended) + len(claims), lost=lost, doubled=claims.count("doubled"))

    def _is_live(self, refresh_token: str) -> bool:
        status = self._api().refresh(refresh_token).status
        assert status in (200, 401), status
        return status == 200

    def _winners(self, jti: str) -> str:
        """Repeats the claim with every key. One of them wins, and no other one has ever won."""
        bearer = self._services[0].access_token
        statuses = {key: self._api().claim(bearer, jti, key).status for key in self.asked[jti]}
        assert set(statuses.values()) <= {200, 409}, statuses
        winners = {key for key, status in statuses.items() if status == 200}
        if not winners.issuperset(self.won[jti]):
            return "lost"
        return "held" if len(winners) == 1 else "doubled"
