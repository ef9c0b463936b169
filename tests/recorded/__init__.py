"""Requests, the answers of an earlier release to them, and the rows that both need. See tests/support/replay.py."""
