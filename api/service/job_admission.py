"""Whether somebody who watches a job would still be let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .access import LOCAL, session_of
from .keys import KeyStore

if TYPE_CHECKING:
    from fastapi import Request

    from .access import Caller


class Admission:
    """A caller was let in once, when the connection began; a key may be revoked, and a session may end, while it stays open."""

    def __init__(self, request: Request, caller: Caller) -> None:
        self.caller = caller
        self.keys = KeyStore(request.app.state.keys.file.parent)  # one of its own, since it is asked in other threads
        bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
        self.session = None if bearer else session_of(request.headers)

    def holds(self) -> bool:
        """Whether the key, or the session by which it was named, still opens something; without any key, this machine's own callers go on.

        Raises:
            LibraryDamaged: the keys cannot be read.
        """
        held = self.keys.held()
        if self.caller.id == LOCAL.id:
            return not held.keys
        if self.session is not None:
            key = held.key_of_session(self.session)
            return key is not None and key.id == self.caller.id
        return any(key.id == self.caller.id and key.state == "live" for key in held.keys)
