"""Where the next page of a list begins: an opaque token that holds the position, and which question and state of the library it belongs to."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from preprocess import QueryError

MOVED = "The library changed since the first page, so photos may come twice, or be passed over, on later ones. Ask again from the start to be sure."
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Cursor:
    """`at` entries came before. `asked` and `state` are hashes of the question and of the library's state when it was asked."""

    at: int
    asked: str
    state: str

    def token(self) -> str:
        """What callers hand back; letters, digits, `-` and `_`."""
        text = json.dumps([1, self.at, self.asked, self.state], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, token: str | None, asked: str, state: str) -> Cursor:
        """The one that a token says, or the beginning where there is none.

        Raises:
            QueryError: it is damaged, or of another question.
        """
        if token is None:
            return cls(0, asked, state)
        try:
            if len(token) > _LONGEST:
                raise ValueError("too long")
            version, at, of_question, of_state = json.loads(_decoded(token))
            if (
                version != 1
                or type(at) is not int
                or not 0 <= at < 1 << 53
                or not isinstance(of_question, str)
                or not isinstance(of_state, str)
            ):
                raise ValueError("of another form")
        except (ValueError, TypeError) as error:
            raise QueryError("The cursor is damaged. Take `next` of the page before as it is, or leave it away to begin anew.") from error
        if of_question != asked:
            raise QueryError("The cursor belongs to another query. Send the same query again with it, or leave it away to begin anew.")
        return cls(at, asked, of_state)

    def after(self, count: int) -> Cursor:
        """Behind so many more entries."""
        return Cursor(self.at + count, self.asked, self.state)


def _decoded(token: str) -> bytes:
    return base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)


def short_hash(value: Any) -> str:
    """Sixteen hexadecimal digits of what JSON can hold; equal values have equal ones."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
