"""Who is calling, as far as the connection tells: the address and the user agent that a session remembers."""

import ipaddress

from flask import request

from .limits import USER_AGENT_CHARACTERS


def client_address() -> str | None:
    """The client's IP address in canonical form (an IPv4-mapped one as IPv4), or None where there is none."""
    try:
        address = ipaddress.ip_address((request.remote_addr or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def user_agent() -> str | None:
    """What the client calls itself, cut to what a session keeps, or None where it does not say."""
    return request.headers.get("User-Agent", "").replace("\0", "")[:USER_AGENT_CHARACTERS] or None
