"""What a running service holds: the library, the encoder, open caches, threads, jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from preprocess import Limits
from search import Library

from ..wiring import encoder_for, limits_of
from .derived_pool import DerivedPool, Opened
from .duplicates_finder import DuplicatesFinder
from .held_models import HeldModels
from .job_runner import Jobs
from .kept import Kept
from .options import ServiceOptions
from .picture_cache import PictureCache
from .text_vectors import RememberingEncoder
from .workers import Workers

if TYPE_CHECKING:
    from search import Derived, Encoder, Store

    from ..settings import Settings


class Service:
    """One service over one library. Routes reach it by `service_of`; its methods block, so they are called in `workers`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.options = ServiceOptions.of(settings)
        self.workers = Workers(self.options.workers, self.options.queue, self.options.wait_s)
        # Other machines may be slow, and nobody is to wait for them but who asks.
        self.fetchers = Workers(self.options.workers, self.options.queue, self.options.wait_s)
        self.limits: Limits = limits_of(settings)
        self.jobs = Jobs(settings)
        self._lock = threading.Lock()
        self._encoders: dict[str, RememberingEncoder] = {}
        self.models = HeldModels(self)
        self.pool = DerivedPool()
        self.orders: Kept[Any] = Kept(8)  # of photos, by state and condition: 8 bytes a photo each
        self.layouts: Kept[bytes] = Kept(4)
        self.facets: Kept[Any] = Kept(64)
        self.answers: Kept[Any] = Kept(4)
        self._pictures: PictureCache | None = None
        self.duplicates = DuplicatesFinder(self)

    def library(self) -> Library:
        """The library as `library.json` says now.

        Raises:
            LibraryNotFound: nothing was indexed yet.
        """
        return Library(self.settings.library.expanduser())

    def store(self) -> Store:
        """The library's store in its present state."""
        from search import Store

        return Store(self.library())

    def encoder(self, library: Library) -> Encoder:
        """The encoder of the library's vectors, loaded once."""
        from ..wiring import encoder_name

        settings = self.settings
        if settings.runtime == "auto":
            settings = settings.model_copy(update={"runtime": "onnx"})
        key = str(library.file.current or encoder_name(settings, library))
        with self._lock:
            if key not in self._encoders:
                self._encoders[key] = RememberingEncoder(encoder_for(library, settings))
            return self._encoders[key]

    @contextmanager
    def derived(self, library: Library) -> Iterator[Derived]:
        """The derived cache of the library's present state, for one thread at a time."""
        with self.pool.borrowed(library) as opened:
            yield opened.derived

    def opened(self, library: Library, recipe_id: str | None = None) -> AbstractContextManager[Opened]:
        """The same with the state that it is of, by the recipe that is named."""
        return self.pool.borrowed(library, recipe_id)

    def pictures(self, library: Library) -> PictureCache:
        """The thumbnails and previews of a library, below its cache."""
        with self._lock:
            if self._pictures is None or self._pictures.folder.parent != library.cache:
                self._pictures = PictureCache(library.cache / "pictures")
            return self._pictures

    def close(self) -> None:
        """Let threads and files go."""
        self.jobs.close()
        self.workers.close()
        self.fetchers.close()
        self.duplicates.close()
        self.pool.close()
