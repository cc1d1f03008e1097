"""Fetch a photo that somebody named by its address, without becoming their way into the local network.

The host name is resolved once, every address it has is checked, and the connection goes to the checked address itself. A second look-up,
which a hostile name server could answer with 127.0.0.1 (DNS rebinding), never happens. Each redirect is checked anew. Proxies of the
environment are not used: they would resolve the name themselves.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from .errors import FetchError
from .image import Limits

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3
_CHUNK = 1 << 16
_HEADERS = {"User-Agent": "pellucid", "Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity", "Connection": "close"}
# IPv6 ranges that carry an IPv4 address inside: NAT64, 6to4, Teredo. Python counts the first one as global.
_TUNNELS = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class _Rules:
    limits: Limits
    allow_private: bool
    deadline: float  # of time.monotonic

    def seconds_left(self, host: str) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise FetchError(_too_slow(host))
        return left


def fetch(url: str, limits: Limits | None = None, *, allow_private: bool = False, timeout_s: float = 10) -> bytes:
    """The bytes behind an `http` or `https` address.

    Args:
        url: without a user name or password.
        limits: at most `max_bytes` are read.
        allow_private: also connect to this machine and its local network.
        timeout_s: for everything together: name look-up excepted, which the system limits itself.

    Raises:
        FetchError: the address is malformed, not allowed, not reachable, too slow or too big, or answers with an error.
    """
    rules = _Rules(limits or Limits(), allow_private, time.monotonic() + timeout_s)
    for _ in range(_MAX_REDIRECTS + 1):
        answer = _get(_checked(url), rules)
        if isinstance(answer, bytes):
            return answer
        try:
            url = urljoin(url, answer)
        except ValueError as error:
            raise FetchError(f"{_checked(url).hostname} redirects to an address that is none. Use the picture's final address.") from error
    raise FetchError(f"{_checked(url).hostname} redirects more than {_MAX_REDIRECTS} times. Use the picture's final address.")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchError(f"{_shown(url)} is not a valid address. Use one like https://example.org/photo.jpg.") from error
    if parts.scheme not in ("http", "https"):
        raise FetchError(f"{_shown(url)} is not a web address. Only http:// and https:// are fetched; send files as an upload.")
    if not parts.hostname or port == 0 or not url.isprintable():
        raise FetchError(f"{_shown(url)} is not a valid address. Use one like https://example.org/photo.jpg.")
    if parts.username is not None or parts.password is not None:
        raise FetchError(f"The address at {parts.hostname} holds a user name or password. Leave them out, or send the file instead.")
    return parts


def _get(parts: SplitResult, rules: _Rules) -> bytes | str:
    """The body, or where a redirect leads."""
    host = parts.hostname or ""
    default_port = 443 if parts.scheme == "https" else 80
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="%/:=&?~+!$,;'@()*[]")
    try:
        with _connect(host, parts.port or default_port, rules) as plain, _shut_at(rules.deadline, plain):
            connected = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if parts.scheme == "https" else plain
            connection = http.client.HTTPConnection(host, parts.port or default_port)
            connection.default_port = default_port  # so that the Host header holds no port that goes without saying
            connection.sock = connected
            with connected, contextlib.closing(connection):
                connection.request("GET", target, headers=_HEADERS)
                return _answer(connection.getresponse(), host, rules)
    except TimeoutError as error:
        raise FetchError(_too_slow(host)) from error
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message.rstrip(".")
        raise FetchError(f"{host} has no valid certificate: {reason}. Download the picture and send the file.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        rules.seconds_left(host)  # a connection that we shut at the deadline fails in many ways
        raise FetchError(f"{host} could not be reached: {error or type(error).__name__}. Check the address in a browser.") from error


def _answer(response: http.client.HTTPResponse, host: str, rules: _Rules) -> bytes | str:
    with response:
        if response.status in _REDIRECTS and (location := response.getheader("Location")):
            return location
        if response.status != 200:
            raise FetchError(f"{host} answered with {response.status} {response.reason}. Check the address in a browser.")
        return _body(response, host, rules)


def _connect(host: str, port: int, rules: _Rules) -> socket.socket:
    """A connection to the first checked address that answers."""
    trouble: OSError | None = None
    for address in _addresses(host, port, rules.allow_private):
        try:
            return socket.create_connection((str(address), port), timeout=rules.seconds_left(host))
        except OSError as error:
            trouble = error
    raise trouble or OSError("no address")


@contextlib.contextmanager
def _shut_at(deadline: float, connected: socket.socket) -> Iterator[None]:
    """Cut the connection at the deadline, whatever is being waited for: a server that sends a byte every nine seconds, also within its
    headers or the TLS handshake, never runs into a time-out of ten seconds.

    It works on a duplicate, because TLS takes the socket over.
    """
    with connected.dup() as handle:
        timer = threading.Timer(max(deadline - time.monotonic(), 0), _shut, (handle,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):  # already closed by the other side
        handle.shutdown(socket.SHUT_RDWR)


def _addresses(host: str, port: int, allow_private: bool) -> list[_Address]:
    """Every address of that host, all of them allowed. The system also understands spellings like 2130706433 and 0x7f.1 for 127.0.0.1."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"{host} has no known address. Check the spelling and the network connection.") from error
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))
    refused = None if allow_private else next((address for address in addresses if not _is_public(address)), None)
    if refused is not None:
        raise FetchError(f"{host} is in a private or reserved network ({refused}). If that is meant, start with --allow-private-urls.")
    return addresses


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None or address.scope_id is not None:
            return False
        if address.is_site_local or any(address in net for net in _TUNNELS):
            return False
    # is_global leaves out private, loopback, link-local, shared (100.64.0.0/10), documentation, reserved and unspecified addresses.
    return address.is_global and not address.is_multicast and not address.is_reserved


def _body(response: http.client.HTTPResponse, host: str, rules: _Rules) -> bytes:
    """Read piece by piece and count: the length that a server announces is a hint."""
    most = rules.limits.max_bytes
    parts, size = [], 0
    while part := response.read1(_CHUNK):
        size += len(part)
        if size > most:
            raise FetchError(f"The picture at {host} is over the limit of {most / 1e6:,.1f} MB. Fetch a smaller one.")
        parts.append(part)
    rules.seconds_left(host)  # shut at the deadline, a body without a length would look complete
    if response.length:
        raise FetchError(f"{host} broke off after {size:,} bytes. Try again.")
    return b"".join(parts)


def _too_slow(host: str) -> str:
    return f"{host} took too long. Download the picture and send the file instead."


def _shown(url: str) -> str:
    """Short, printable, and without what may be a password."""
    text = "".join(c if c.isprintable() else "?" for c in url.rsplit("@", 1)[-1])
    return repr(text if len(text) <= 80 else text[:79] + "…")
