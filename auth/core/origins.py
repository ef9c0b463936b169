"""Web origins (RFC 6454): scheme, host and port, compared exactly."""

import re
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
# Browsers send no origin with these schemes. Any other scheme may be an app's own, as in capacitor://localhost.
_NO_ORIGINS = ("", "about", "blob", "data", "file", "filesystem", "ftp", "javascript", "vbscript", "ws", "wss")
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


def origin_of(url: str) -> str | None:
    """A URL's origin, such as `https://a.example:443`. None if browsers and servers may read the URL differently."""
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        return None
    if parts.scheme in _NO_ORIGINS or "@" in parts.netloc or not _HOST.fullmatch(parts.hostname or ""):
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" if port is None else f"{parts.scheme}://{host}:{port}"
