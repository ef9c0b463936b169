"""`make demo`: the service of `make run`, the portal beside it, and what the portal needs there."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

from werkzeug.serving import make_server

from . import create_app

PORT = int(os.environ.get("PORTAL_PORT") or 8090)
ADDRESS = f"http://localhost:{PORT}"
ORIGINS = f"http://localhost:{os.environ.get('PORT') or 8080},{ADDRESS}"
ENVIRONMENT = os.environ | {"DATABASE_URL": "", "TRUSTED_ORIGINS": ORIGINS}  # without a URL: the database of `make run`
WELCOME = """
The portal is at {portal}. Sign in there as one of

    user@dev     {USER_PASSWORD}
    admin@dev    {ADMIN_PASSWORD}

The service is at {AUTH}. Ctrl-C stops both, and the database.
"""


def main() -> None:
    """Serve until Ctrl-C, or until the service ends."""
    service = subprocess.Popen(
        [sys.executable, "-m", "dev.run"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
        start_new_session=True,  # Ctrl-C is for this process, which then stops the service
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    lines = iter(service.stdout or ())
    try:
        if printed := read_credentials(lines):
            serve(printed["AUTH"])
            print(WELCOME.format(portal=ADDRESS, **printed), flush=True)
            for line in lines:
                print(line, end="", flush=True)
    finally:
        service.send_signal(signal.SIGINT)
        service.wait()
    sys.exit(service.returncode)


def read_credentials(lines: Iterator[str]) -> dict[str, str]:
    """The variables that `make run` prints; none where it ends early."""
    printed: dict[str, str] = {}
    for line in lines:
        if match := re.fullmatch(r"export (\w+)=(\S+)\n", line):
            printed[match[1]] = match[2]
        if line.startswith("docs/walkthrough.md"):  # the last line
            return printed
    return {}


def serve(auth_url: str) -> None:
    """Start the portal. What it needs is made once by commands; its refresh token is a new one each time."""
    flask("login-services", "delete", "portal")
    flask("login-services", "create", "portal", "--endpoint", f"{ADDRESS}/", "--mode", "WEB")
    flask("services", "create", "_portal", "--scope", "files:read")
    refresh_token = json.loads(flask("services", "rotate", "_portal", "--json"))["refreshToken"]
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # no line for each request
    server = make_server("127.0.0.1", PORT, create_app(auth_url, refresh_token), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def flask(*arguments: str) -> str:
    """The output of the command. It may fail, for example where the row to create exists already."""
    command = [sys.executable, "-m", "flask", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False).stdout


main()
