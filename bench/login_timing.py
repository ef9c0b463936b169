"""Does the time to answer tell an unknown user, a disabled one, one without a password, and a wrong password apart?

    .venv/bin/python -m bench.login_timing

Prints the median of 200 logins of each kind, interleaved, and how far each is from the median of all.
"""

import random
import secrets
import statistics
import time

from tests.world import World

from .service import deployed

ROUNDS = 200


def names(world: World) -> dict[str, str]:
    """A fresh name of each kind, so that no limit on guessing gets in the way."""
    disabled = world.user()
    world.db.one("principal_disable", id=disabled)
    return {
        "wrong password": world.user(),
        "unknown": f"user-{secrets.token_hex(8)}",
        "disabled": disabled,
        "without a password": world.user(password=None),
    }


def main() -> None:
    seconds: dict[str, list[float]] = {}
    with deployed(workers=1) as deployment:
        service = deployment.world.login_service()
        for _ in range(ROUNDS):
            tried = list(names(deployment.world).items())
            random.shuffle(tried)
            for kind, name in tried:
                api = deployment.servers[0].client()
                started = time.perf_counter()
                api.login(name, "a wrong password", service).refused(401)
                seconds.setdefault(kind, []).append(time.perf_counter() - started)
    middle = statistics.median(value for values in seconds.values() for value in values)
    for kind, values in seconds.items():
        median = statistics.median(values)
        print(f"{kind:20} median {median * 1000:7.2f} ms   {100 * (median / middle - 1):+6.2f} %   n={len(values)}")
    medians = [statistics.median(values) for values in seconds.values()]
    print(f"furthest apart: {100 * (max(medians) / min(medians) - 1):.2f} %")


if __name__ == "__main__":
    main()
