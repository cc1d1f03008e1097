"""The client of a request: whether it is still there."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Receive


class Client:
    """The client of one request. `receive` gives the parts of the request's body, and then that it has left."""

    def __init__(self, receive: Receive, whole: bool) -> None:
        self._receive, self.whole = receive, whole

    async def receive(self) -> Message:
        """The next message, for the application."""
        message = await self._receive()
        self.whole = self.whole or not message.get("more_body", False)
        return message

    async def left(self) -> None:
        """Returns once the client has left. Only where the whole body is in, which would be taken from the application otherwise."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


CLIENT: ContextVar[Client | None] = ContextVar("pellucid_client", default=None)
"""The client of the request that is being answered, where nothing is lost if its work is not done."""
