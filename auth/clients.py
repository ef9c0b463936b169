"""Who is calling, as far as the connection tells: the address and the user agent that a session remembers."""

import ipaddress
from functools import lru_cache

from flask import request

from .current import config
from .limits import USER_AGENT_CHARACTERS

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PREFIX = {4: 32, 6: 64}


def client_address() -> str | None:
    """The client's IP address in canonical form (an IPv4-mapped one as IPv4), or None where there is none."""
    address = _client()
    return None if address is None else str(address)


def client_network() -> str:
    """The network whose guesses are counted together: an IPv4 address or an IPv6 /64; empty where there is none."""
    address = _client()
    return "" if address is None else str(ipaddress.ip_network((address, _PREFIX[address.version]), strict=False))


def user_agent() -> str | None:
    """What the client calls itself, cut to what a session keeps, or None where it does not say."""
    return request.headers.get("User-Agent", "").replace("\0", "")[:USER_AGENT_CHARACTERS] or None


def _client() -> Address | None:
    """Whom the trusted proxies name, or else the peer.

    Split here, since Werkzeug's ProxyFix honours quotes: a client's own `"` would swallow what a proxy appends.
    """
    proxies = config().trusted_proxies
    entries = request.headers.get("X-Forwarded-For", "").split(",") if proxies else []
    named = entries[-proxies] if 0 < proxies <= len(entries) else None
    return _address(named) or _address(request.remote_addr)


@lru_cache(1024)
def _address(text: str | None) -> Address | None:
    try:
        address = ipaddress.ip_address((text or "").strip().partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address
