"""An empty JSON route of a bare Flask app: the most this stack can do, under the service's gunicorn.conf.py."""

from types import SimpleNamespace

from flask import Flask, Response, jsonify

from auth.current import EXTENSION

app = Flask(__name__, static_folder=None)
app.extensions[EXTENSION] = SimpleNamespace(db=SimpleNamespace(open=lambda size: None))  # for gunicorn.conf.py


@app.get("/")
def empty() -> Response:
    return jsonify({})
