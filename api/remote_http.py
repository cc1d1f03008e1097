"""Requests to a service, over one connection that is kept open.

By `http.client`, since it is there anyway, keeps a connection alive, and reads an answer piece by piece; what a larger client would add (redirects, cookies, proxies,
pools) is what a service on the same machine or network must not use.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from preprocess import FetchError, InputError, LibraryBusy

from .remote_form import Part, form_of
from .remote_problem import RETRIED, problem_error

MOST_RETRIES, LONGEST_RETRY_S = 4, 10.0
"""An overloaded service says when to come again; so often that is done, and for no longer wait."""
_CHUNK = 1 << 16
_MOST_ANSWER = 1 << 28  # bytes of an answer that is read as a whole


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: method and path below the service, values of the query (none are left out), JSON or parts of a form, and headers."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    parts: Sequence[Part] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again: a file was read to its end."""
        return all(isinstance(part.content, bytes) for part in self.parts)

    def target(self) -> str:
        """Path and query as they are sent."""
        given = {name: _worded(value) for name, value in self.query.items() if value is not None}
        return self.path + (f"?{urlencode(given, doseq=True, quote_via=quote)}" if given else "")


def _worded(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class Connection:
    """A connection to the service at an address such as http://127.0.0.1:8000. For one thread at a time.

    Raises:
        InputError: when made, of an address that is none.
    """

    def __init__(self, server: str, key: str | None = None, timeout_s: float = 120) -> None:
        self.parts = checked(server)
        self.server, self.key, self.timeout_s = server.rstrip("/"), key, timeout_s
        if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
            raise InputError("The key for the service has letters that no key has. Copy it again, without spaces around it.")
        self._open: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Let the connection go."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def ask(self, asked: Asked) -> tuple[bytes, http.client.HTTPMessage]:
        """The whole answer and its headers.

        Raises:
            PellucidError: as the service says, or it cannot be reached.
        """
        with self.stream(asked) as answer:
            data = answer.response.read(_MOST_ANSWER + 1)
            if len(data) > _MOST_ANSWER:
                raise FetchError(f"{self.server} answered with more than {_MOST_ANSWER / 1e6:,.0f} MB. Ask for less.")
            return data, answer.response.headers

    def stream(self, asked: Asked) -> Streamed:
        """The answer while it comes; use it in a `with`.

        Raises:
            PellucidError: as the service says, or it cannot be reached.
        """
        for left in reversed(range(MOST_RETRIES)):
            response = self._sent(asked)
            if response.status < 300:
                return Streamed(self, response)
            data = _read_some(response)
            wait_s = _retry_after(response.headers)
            if response.status not in RETRIED or not left or wait_s > LONGEST_RETRY_S or not asked.repeatable:
                raise problem_error(response.status, data, self.server)
            time.sleep(wait_s)
        raise LibraryBusy(f"{self.server} is busy. Try again later.")

    def _sent(self, asked: Asked) -> http.client.HTTPResponse:
        """The answer's head. A connection that the service closed while it was idle is opened anew, once, where nothing can have been done by it."""
        reused = self._open is not None
        try:
            try:
                return self._exchange(asked)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not reused or not asked.repeatable or (asked.method == "POST" and not asked.headers.get("Idempotency-Key")):
                    raise
                self.close()
                return self._exchange(asked)
        except TimeoutError as error:
            self.close()
            raise FetchError(f"{self.server} did not answer within {self.timeout_s:,.0f} seconds. Try again later.") from error
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise FetchError(f"{self.server} has no valid certificate: {error.verify_message.rstrip('.')}.") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise FetchError(
                f"{self.server} could not be reached: {reason}. See that the service runs (pellucid serve), and check the address."
            ) from error

    def _exchange(self, asked: Asked) -> http.client.HTTPResponse:
        if self._open is None:
            host, port = self.parts.hostname or "", self.parts.port
            if self.parts.scheme == "https":
                self._open = http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=ssl.create_default_context())
            else:
                self._open = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        headers = {"Accept": "application/json", "User-Agent": "pellucid", **asked.headers}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        body: bytes | Iterable[bytes] | None = None
        if asked.parts:
            body, length, boundary = form_of(asked.parts)
            headers |= {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
        elif asked.body is not None:
            body = json.dumps(asked.body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        self._open.request(asked.method, self.parts.path.rstrip("/") + asked.target(), body, headers)
        return self._open.getresponse()


@dataclass(slots=True)
class Streamed:
    """An answer that comes piece by piece. What is not read closes the connection."""

    connection: Connection
    response: http.client.HTTPResponse

    def __enter__(self) -> Streamed:
        return self

    def __exit__(self, *_: object) -> None:
        left = self.response.length != 0  # Python 3.11 does not close one that was read to its end piece by piece
        if left and not self.response.isclosed():
            self.connection.close()
        self.response.close()

    def pieces(self) -> Iterator[bytes]:
        """Its bytes as they come.

        Raises:
            FetchError: the service broke off.
        """
        try:
            while piece := self.response.read1(_CHUNK):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{self.connection.server} broke off in the middle: {error}. Try again.") from error

    def lines(self) -> Iterator[str]:
        """Its lines as they come, without their ends.

        Raises:
            FetchError: the service broke off.
        """
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.rstrip(b"\r").decode("utf-8", "replace") for line in whole)
        if rest:
            yield rest.decode("utf-8", "replace")


def checked(server: str) -> SplitResult:
    """The parts of a service's address.

    Raises:
        InputError: it is none.
    """
    try:
        parts = urlsplit(server)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and server.isprintable() and " " not in server
    except ValueError:
        good = False
    if not good:
        raise InputError(f"{server!r} is no address of a service. Write one like http://127.0.0.1:8000")
    if parts.username is not None or parts.query or parts.fragment:
        raise InputError("The address of a service has no user, password, query or fragment. Keys go into PELLUCID_SERVER_KEY.")
    return parts


def _read_some(response: http.client.HTTPResponse) -> bytes:
    with suppress(OSError, http.client.HTTPException):
        return response.read(1 << 20)
    return b""


def _retry_after(headers: http.client.HTTPMessage) -> float:
    """Seconds; 1 where nothing is said."""
    said = headers.get("Retry-After", "1")
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return 1.0


__all__ = ["Asked", "Connection", "Streamed", "checked"]
