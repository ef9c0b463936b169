"""A job that acts for its owner. It goes on when the owner signs out, and ends when the owner ends its delegation."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from werkzeug.exceptions import ServiceUnavailable, Unauthorized

from .auth_service import AuthService

PAUSE_SECONDS = 1.0


@dataclass
class Job:
    id: str  # of its delegation
    owner: str
    started_at: int  # milliseconds since the epoch
    state: str = "running"  # or "waiting" for the authentication service, or "ended"
    runs: int = 0

    def run(self, auth: AuthService, refresh_token: str, work: Callable[[str], object]) -> None:
        """Do the work again and again, each time with a new access token. Only a 401 ends the job."""
        while self.state != "ended":
            try:
                work(auth.refresh(refresh_token))
                self.state, self.runs = "running", self.runs + 1
            except Unauthorized:
                self.state = "ended"
            except ServiceUnavailable:
                self.state = "waiting"
            time.sleep(PAUSE_SECONDS)


def start(auth: AuthService, user_token: str, scope: str, work: Callable[[str], object]) -> Job:
    """Start a job with a delegation of that scope. A real portal would store the refresh token, encrypted."""
    refresh_token = auth.extend(user_token, scope)
    claims = jwt.decode(auth.refresh(refresh_token), options={"verify_signature": False})  # it comes from the service
    job = Job(claims["publicSessionReference"], claims["sub"], int(time.time() * 1000))
    threading.Thread(target=job.run, args=(auth, refresh_token, work), name="portal job", daemon=True).start()
    return job
