"""Connections that do not wait for ever: for a request that never comes whole, or for a client that never reads.

uvicorn ends connections that are idle between requests. It waits without end for the rest of a header, and for room to write, so that a few hundred
half-open connections would use up the files that the process may open.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """One connection. `header_s` seconds for the header of a request; `stall_s` seconds in which at least a byte must be read from an answer that waits.

    An answer that is being written waits once the client is 64 kB behind. Of one that has been written less than that may be left; the server closes the
    connection then, which waits for the client too, and says nothing of it. So what is left is looked at every `stall_s` seconds.
    """

    header_s = 15.0
    stall_s = 60.0
    _header: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _left = 0
    _look: asyncio.TimerHandle | None = None
    _unread: tuple[object, int] = (None, 0)

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        # asyncio does this itself only for sockets that were made with TCP's number. Without it, the body of each small answer waits 40 ms for the client to
        # confirm the header.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait_for_header()
        self._look = self.loop.call_later(self.stall_s, self._look_at_rest)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; those that do not begin a request do not give it more time."""
        super().data_received(data)
        if self._busy:
            _cancel(self._header)
            self._header = None
        elif self._header is None and not self.transport.is_closing():
            self._wait_for_header()

    def pause_writing(self) -> None:
        """The client does not read as fast as the answer is written."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        _cancel(self._stall)
        self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        _cancel(self._header)
        _cancel(self._stall)
        _cancel(self._look)
        super().connection_lost(exc)

    def _wait_for_header(self) -> None:
        self._header = self.loop.call_later(self.header_s, self._no_header)

    def _no_header(self) -> None:
        self._header = None
        if not self._busy:
            self.transport.abort()

    def _wait_for_reader(self) -> None:
        self._left = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.stall_s, self._no_reader)

    def _no_reader(self) -> None:
        self._stall = None
        if self.transport.get_write_buffer_size() >= self._left:
            self.transport.abort()
        else:
            self._wait_for_reader()

    def _look_at_rest(self) -> None:
        ended = not self._busy or self.transport.is_closing()  # nothing is added to it, so that it only gets less
        cycle, left = self.cycle, self.transport.get_write_buffer_size() if ended else 0
        if left and cycle is self._unread[0] and 0 < self._unread[1] <= left:
            self.transport.abort()
        self._unread = cycle, left
        self._look = self.loop.call_later(self.stall_s, self._look_at_rest)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
