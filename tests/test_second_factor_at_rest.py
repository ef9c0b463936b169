"""Neither a dump of the database nor the log holds a secret, a recovery code or a challenge, in any spelling."""

import base64
import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate
from auth.core.keys import Keyring, load_private_key
from auth.core.tokens import AccessTokens
from dev.embedded import INSTALLED

from .support.api import Api
from .support.command_line import CommandLine
from .support.databases import NewDatabase
from .support.second_factor import Authenticator, challenge_of, wait_for_a_long_step
from .support.servers import serving
from .support.world import PASSWORD, QUICK_HASH, World


def spellings(text: str) -> Iterator[bytes]:
    """The text, and the bytes that it encodes, as they are, in hex, base32 and base64."""
    yield text.encode()
    plain = text.replace("-", "") if len(text) == 27 else text
    raw = base64.b32decode(plain) if re.fullmatch("[A-Z2-7=]+", plain) else base64.urlsafe_b64decode(text)
    for content in (text.encode(), plain.encode(), raw):
        yield content
        yield content.hex().encode()
        yield content.hex().upper().encode()
        yield base64.b32encode(content).rstrip(b"=")
        for before in range(3):  # base64 of a longer text that contains it: what three alignments have in common
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(b"\0" * before + content)[4 if before else 0 : -4]


def live(api: Api, world: World, flask: CommandLine) -> tuple[list[str], list[str]]:
    """Use factors in every way, right and wrong. Returns the secrets and the codes."""
    session, service = world.session(world.user(password_hash=QUICK_HASH)), world.login_service()
    made = [api.create_credentials(session.access_token).ok()]
    wait_for_a_long_step()
    app = Authenticator(made[0]["secret"])
    codes = [app.wrong_code(), app.code(-1), app.code(), app.code(1)]
    api.answer_challenge(made[0]["challengeId"], codes[0], session.access_token).refused(401)
    api.answer_challenge(made[0]["challengeId"], codes[1], session.access_token).ok()
    challenges = [challenge_of(api, session.id, service) for _ in range(2)]
    api.login(session.id, PASSWORD, service, Accept="text/html")
    api.answer_challenge(challenges[0], codes[0]).refused(401)
    api.answer_challenge(challenges[0], made[0]["recoveryCode"][:-1]).refused(401)
    api.answer_challenge(challenges[0][:-1], codes[2]).refused(401)
    api.answer_challenge(challenges[0], codes[2]).ok()
    api.remove_credentials(session.access_token, PASSWORD, codes[3]).ok()
    made.append(api.create_credentials(session.access_token).ok())
    wait_for_a_long_step()
    app = Authenticator(made[1]["secret"])
    codes += [app.code(-1), app.code()]
    api.answer_challenge(made[1]["challengeId"], codes[-2], session.access_token).ok()
    challenges.append(challenge_of(api, session.id, service))
    api.answer_challenge(challenges[-1], codes[-1]).ok()
    imported = base64.b32encode(secrets.token_bytes(10)).decode()
    person = {"id": "imported", "role": "USER", "firstNames": "A", "lastName": "B", "passwordHash": QUICK_HASH}
    flask.json("users", "import", "-", stdin=json.dumps(person | {"totpSecret": imported}))
    flask.json("keys", "rekey")
    secret = [each[name] for each in made for name in ("secret", "recoveryCode", "challengeId")]
    return [*secret, *challenges, imported], codes


@pytest.mark.xdist_group("log")
def test_a_dump_and_the_log_hold_no_secret(postgres_url: str, environment: dict[str, str], tmp_path: Path) -> None:
    key = Fernet.generate_key().decode()
    with NewDatabase(postgres_url) as url:
        migrate(DirectDatabase(url))
        settings = {**environment, "DATABASE_URL": url, "LOG_LEVEL": "debug", "SECOND_FACTOR_KEYS": key}
        tokens = AccessTokens(Keyring(load_private_key(environment["JWT_PRIVATE_KEY"])), "cloud.sdu.dk")
        with serving(settings, log=tmp_path / "log") as [server]:
            secret, codes = live(server.client(), World(DirectDatabase(url), tokens), CommandLine(settings))
        program = "pg_dump" if "TEST_DATABASE_URL" in os.environ else INSTALLED / "pg_dump"
        dump = subprocess.run([program, url], check=True, capture_output=True).stdout
    log = (tmp_path / "log").read_bytes()
    assert b"gAAAA" in dump  # the encrypted secrets
    assert b'"second factor removal"' in log
    for text in (*secret, key):
        for spelling in spellings(text):
            assert len(spelling) >= 8
            assert spelling not in dump, text
            assert spelling not in log, text
    for code in codes:
        assert not re.search(rb"(?<![\d.])%s(?!\d)" % code.encode(), log)
