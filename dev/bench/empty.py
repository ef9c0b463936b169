"""An empty JSON route of a bare Flask app: the most that this stack can do, under the service's gunicorn.conf.py."""

from collections import defaultdict
from unittest.mock import MagicMock

from flask import Flask

app = Flask(__name__, static_folder=None)
app.extensions = defaultdict(MagicMock)  # gunicorn.conf.py opens the service's database there


@app.get("/")
def empty() -> dict[str, str]:
    return {}
