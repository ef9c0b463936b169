"""Do refreshes go on while as many people log in as the service takes?

    .venv/bin/python -m bench.login_storm

Prints the refreshes' p50 and p99 idle and during 30 seconds of logins from 32 connections, and what the logins came to.
"""

import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.world import PASSWORD

from .service import Deployment, deployed

SECONDS = 30
LOGINS_AT_ONCE = 32
REFRESHES_AT_ONCE = 4


def refresh_for(deployment: Deployment, tokens: list[str], seconds: float) -> list[float]:
    """How long each refresh took, in seconds."""
    deadline = time.monotonic() + seconds

    def refresh(token: str) -> list[float]:
        api, taken = deployment.servers[0].client(), []
        while time.monotonic() < deadline:
            started = time.perf_counter()
            api.refresh(token).ok()
            taken.append(time.perf_counter() - started)
            time.sleep(0.02)
        return taken

    with ThreadPoolExecutor(REFRESHES_AT_ONCE) as pool:
        return [value for values in pool.map(refresh, tokens) for value in values]


def storm(deployment: Deployment, stop: threading.Event, answers: Counter[str]) -> None:
    world, service = deployment.world, deployment.world.login_service()

    def log_in(user: str) -> None:
        while not stop.is_set():
            answer = deployment.servers[0].client().login(user, PASSWORD, service)
            answers[f"{answer.status} {answer.json.get('errorCode', '')}".strip()] += 1

    with ThreadPoolExecutor(LOGINS_AT_ONCE) as pool:
        for user in [world.user() for _ in range(LOGINS_AT_ONCE)]:
            pool.submit(log_in, user)


def told(label: str, taken: list[float]) -> str:
    centiles = statistics.quantiles(taken, n=100)
    return f"{label:14} p50 {centiles[49] * 1000:7.2f} ms   p99 {centiles[98] * 1000:7.2f} ms   n={len(taken)}"


def main() -> None:
    with deployed() as deployment:
        tokens = [deployment.world.session().refresh_token for _ in range(REFRESHES_AT_ONCE)]
        refresh_for(deployment, tokens, 1)
        print(told("idle", refresh_for(deployment, tokens, 5)))
        stop, answers = threading.Event(), Counter[str]()
        logins = threading.Thread(target=storm, args=(deployment, stop, answers))
        logins.start()
        print(told("during logins", refresh_for(deployment, tokens, SECONDS)))
        stop.set()
        logins.join()
    print(f"logins a second: {answers['200'] / SECONDS:.1f}; answers: {dict(answers)}")


if __name__ == "__main__":
    main()
