"""Whether the service can answer at once: what a search needs is loaded in the background when it starts."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from preprocess import LibraryNotFound

if TYPE_CHECKING:
    from .state import Service

AGAIN_S = 10.0
_LOG = logging.getLogger("pellucid.service")


class Readiness:
    """Loads the encoder and the derived cache in a thread, which goes with the process, so that ending the service never waits for it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.reason: str | None = "The encoder and the library's cache are being loaded."
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._warm, name="warm", daemon=True)

    def begin(self) -> None:
        """Start loading."""
        self._thread.start()

    def end(self, wait_s: float = 2) -> None:
        """Stop trying, and wait a little for what is being loaded."""
        self._ended.set()
        self._thread.join(wait_s)

    def _warm(self) -> None:
        """Try until it works: what is missing may be put right while the service runs."""
        said = None
        while not self._ended.is_set():
            try:
                warm(self.service)
            except Exception as error:  # whatever it is: a thread that dies says nothing to anybody
                self.reason = "What a search needs cannot be loaded. The log says why."
                if (reason := str(error)) != said:
                    _LOG.warning("not ready: %s", reason)
                said = reason
                self._ended.wait(AGAIN_S)
            else:
                self.reason = None
                return


def warm(service: Service) -> None:
    """Load what the first search would wait for. A library that is not there yet, or empty, needs nothing."""
    try:
        library = service.library()
    except LibraryNotFound:
        return
    if library.file.current is None:
        return
    with service.derived(library):
        pass
    service.encoder(library).encode_texts(["a photo"])
