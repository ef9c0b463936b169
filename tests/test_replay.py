"""Answers are byte for byte those of release 1.1.0, headers included, except where tests/recorded/changes.py says why.

Ids, times and signatures are not compared. tests/support/replay.py says how to record the answers anew.
"""

from difflib import ndiff

from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate

from .support.databases import NewDatabase
from .support.replay import Replay, environment, forget_factors, insert_rows, recorded
from .support.servers import serving

SHOWN = 20


def test_the_answers_are_those_of_the_recorded_release(server_url: str) -> None:
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        insert_rows(url)
        forget_factors(url)
        with serving(environment(url)) as [server]:
            answers = Replay(server.port).answers()
    expected = recorded()
    assert list(answers) == list(expected), "record the answers to new requests: see tests/support/replay.py"
    different = [name for name in answers if answers[name] != expected[name]]
    shown = [_difference(name, expected[name], answers[name]) for name in different[:SHOWN]]
    report = "\n\n".join([*shown, *different[SHOWN:]])
    assert not different, f"{len(different)} answers differ (-: recorded, +: now)\n\n{report}"


def _difference(name: str, expected: str, answer: str) -> str:
    return "\n".join([f"=== {name}", *ndiff(expected.splitlines(), answer.splitlines())])
