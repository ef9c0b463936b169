"""What handlers work with: the current app's configuration, database and tokens."""

from dataclasses import dataclass

from flask import current_app

from .config import Config
from .db import Database
from .tokens import AccessTokens

EXTENSION = "user_authentication"


@dataclass(frozen=True)
class Parts:
    config: Config
    db: Database
    tokens: AccessTokens


def parts() -> Parts:
    found: Parts = current_app.extensions[EXTENSION]
    return found


def config() -> Config:
    return parts().config


def db() -> Database:
    return parts().db


def tokens() -> AccessTokens:
    return parts().tokens
