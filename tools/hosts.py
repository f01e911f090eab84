"""By which names this server may be called (Host), and from which pages (Origin).

A page on any site may make a browser send requests to an address of this machine, under a name of its own that it lets
point here (DNS rebinding). Such a request carries that name, and the page's origin: it is known by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from tools.refusal import Code, Refused

#: Headers that were found good are remembered, this many.
_MOST_REMEMBERED = 256


class Hosts:
    """Which requests may come in. `bound` is the address that the server listens on. On loopback only the names of
    this machine are known; elsewhere also every address in figures, which no page can let point anywhere else. `hosts`
    are more names (`api.example.com`, or `api.example.com:8443` for one port), `origins` more pages."""

    def __init__(self, bound: str, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._any_figures = not is_loopback(bound)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._good: set[tuple[bytes | None, bytes | None]] = set()

    def check(self, host: bytes | None, origin: bytes | None) -> None:
        """Raises Refused with WRONG_HOST or WRONG_ORIGIN."""
        if (host, origin) in self._good:
            return
        if host is None or not self._known(host.decode("latin-1").lower()):
            accepted = ["localhost", "127.0.0.1", "[::1]", "the names in http.allowed_hosts of the server's config"]
            raise Refused(Code.WRONG_HOST, "this server is not known by the name in the Host header", accepted=accepted)
        if origin is not None and not self._from_here(origin.decode("latin-1").lower(), host.decode("latin-1").lower()):
            accepted = ["no Origin header", "the origins in http.allowed_origins of the server's config"]
            raise Refused(Code.WRONG_ORIGIN, "pages of this origin may not call this server", accepted=accepted)
        if len(self._good) < _MOST_REMEMBERED:
            self._good.add((host, origin))

    def _known(self, host: str) -> bool:
        if host in self._hosts:
            return True
        name = _name(host)
        if name is None:
            return False
        return name in self._hosts or is_loopback(name) or (self._any_figures and _figures(name) is not None)

    def _from_here(self, origin: str, host: str) -> bool:
        if origin in self._origins:
            return True
        try:
            page = urlsplit(origin)
            name = page.hostname
        except ValueError:
            return False
        if page.scheme not in ("http", "https") or name is None:
            return False
        return page.netloc == host or (not self._any_figures and is_loopback(name))


@lru_cache(maxsize=1_024)
def is_loopback(name: str) -> bool:
    """Whether this address or name is this machine and nothing else."""
    found = _figures(name)
    return found.is_loopback if found else name == "localhost"


def _figures(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _name(host: str) -> str | None:
    """A Host header without its port; None where it is none."""
    try:
        at = urlsplit(f"//{host}")
        at.port  # noqa: B018 - raises where it is no port
    except ValueError:
        return None
    whole = at.netloc == host and not at.path and not at.query and not at.fragment and at.username is None
    return at.hostname if whole else None
