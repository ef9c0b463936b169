"""Databases for single tests on the PostgreSQL of the tests."""

import secrets
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict


class NewDatabase:
    """A new database, which is dropped in the end. Yields its URL."""

    def __init__(self, server_url: str, options: str = "") -> None:
        self._server_url = server_url
        self._options = options
        self._name = f"test_{secrets.token_hex(6)}"

    def __enter__(self) -> str:
        self._execute(f'CREATE DATABASE "{self._name}" {self._options}')
        parts = conninfo_to_dict(self._server_url) | {"dbname": self._name}
        return f"postgresql://?{urlencode(parts, quote_via=quote)}"

    def __exit__(self, *_: object) -> None:
        self._execute(f'DROP DATABASE "{self._name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(statement)
