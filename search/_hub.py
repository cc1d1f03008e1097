"""Files of a repository on the Hugging Face hub, through huggingface_hub and its cache.

The first contact is given up after `CONTACT_S`, whatever it hangs at: a name look-up, a proxy that never answers, a silent server. Without
network the cache answers, as long as it has every file that is asked for.
"""

from __future__ import annotations

import contextlib
import inspect
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi, ModelCard, constants, hf_hub_download, try_to_load_from_cache

from preprocess import PellucidError, Progress, WeightsError, digest_of

from ._hub_errors import answered, reason, refusal, remedy, storage_errors_of_cache, unreachable

T = TypeVar("T")

CONTACT_S = 3.0
"""Seconds that the first contact may take. With the start of Python and its imports, an error is there within five."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as the hub describes it now, or as its cache has it: then `sizes` is empty and `why` says why it is the cache."""

    name: str
    licence: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)  # sha256 of the large files
    why: str = ""

    @property
    def cached(self) -> bool:
        """Whether only what is in the cache can be had."""
        return bool(self.why)


def look(name: str, why: str = "") -> Repository:
    """What the hub has under `OWNER/NAME`; what its cache has, when the hub cannot be reached, or must not be: `why` says why not.

    Raises:
        InputError: the hub has no such repository.
        WeightsError: it is not for everybody, or the hub cannot be reached and the cache knows nothing of it.
    """
    if why or constants.HF_HUB_OFFLINE:
        return _from_cache(name, why or "HF_HUB_OFFLINE is set")
    api = HfApi(endpoint=constants.ENDPOINT)
    try:
        info = _within(CONTACT_S, lambda: api.model_info(name, files_metadata=True, timeout=CONTACT_S))
    except Exception as error:
        if answered(error):
            raise refusal(name, error) from error
        return _from_cache(name, reason(error), error)
    files = info.siblings or []
    card: Any = info.card_data or {}
    return Repository(
        name,
        _licence(card),
        {entry.rfilename: entry.size or 0 for entry in files},
        {entry.rfilename: str(entry.lfs["sha256"]) for entry in files if entry.lfs},
    )


def _from_cache(name: str, why: str, error: Exception | None = None) -> Repository:
    folder = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    if not (folder / "snapshots").is_dir():
        raise WeightsError(f"{unreachable(why)}, and its cache ({constants.HF_HUB_CACHE}) has nothing of {name}. {remedy(name)}") from error
    card = cached_file(name, "README.md")
    licence = ""
    if card:
        with contextlib.suppress(Exception):  # a card that does not parse states nothing
            licence = _licence(ModelCard.load(card).data)
    return Repository(name, licence, why=why)


def cached_file(name: str, file: str) -> Path | None:
    """Where the cache has a file of a repository; none when it has not."""
    found = try_to_load_from_cache(name, file, cache_dir=constants.HF_HUB_CACHE)
    return Path(found) if isinstance(found, str) else None


def fetch(repository: Repository, files: list[str], on_progress: Progress) -> dict[str, Path]:
    """Where files of a repository lie in the cache, downloaded if need be; a download that broke off goes on where it was.

    Raises:
        WeightsError: a file is not there, cannot be fetched, or is not what the hub says it is.
        StorageFull: the disk took no more.
    """
    total, done, found = sum(repository.sizes.get(file, 0) for file in files), 0, {}
    for file in files:
        found[file] = _one(repository, file, done, total, on_progress)
        done += repository.sizes.get(file, 0)
    return found


def _one(repository: Repository, file: str, done: int, total: int, on_progress: Progress) -> Path:
    if repository.cached:
        path = cached_file(repository.name, file)
        if path is None:
            raise WeightsError(
                f"{unreachable(repository.why)}, and its cache has no {file} of {repository.name}. {remedy(repository.name)}"
            )
        _check(repository, file, path)
        return path
    if repository.sizes and file not in repository.sizes:
        raise WeightsError(
            f"The hub's {repository.name} has no {file}; Pellucid reads the layout that Immich publishes (visual/, textual/)."
        )
    step = f"download {file}"
    on_progress(step, done / total if total else None)
    options: dict[str, Any] = {}
    if "tqdm_class" in inspect.signature(hf_hub_download).parameters:  # older releases cannot tell how far they are within a file
        options["tqdm_class"] = _bar(lambda got: on_progress(step, min((done + got) / total, 1.0) if total else None))
    try:
        with plain_downloads(), storage_errors_of_cache():
            _first_byte(repository, file)
            path = Path(hf_hub_download(repository.name, file, endpoint=constants.ENDPOINT, etag_timeout=CONTACT_S, **options))
    except PellucidError:
        raise
    except Exception as error:
        raise refusal(repository.name, error) from error
    _check(repository, file, path)
    return path


def _first_byte(repository: Repository, file: str) -> None:
    """Large files come from another host than the hub's own: learn within `CONTACT_S` that a proxy or firewall keeps us from it."""
    if file not in repository.digests or cached_file(repository.name, file):
        return
    from huggingface_hub import hf_hub_url, utils

    url = hf_hub_url(repository.name, file, endpoint=constants.ENDPOINT)
    tools: Any = utils
    headers = tools.build_hf_headers() | {"Range": "bytes=0-0"}

    def ask() -> None:
        session = tools.get_session()
        if hasattr(session, "stream"):  # httpx; releases before 1.0 use requests
            with session.stream("GET", url, headers=headers, timeout=CONTACT_S) as response:
                tools.hf_raise_for_status(response)
        else:
            with session.get(url, headers=headers, timeout=CONTACT_S, stream=True) as response:
                tools.hf_raise_for_status(response)

    _within(CONTACT_S, ask)


def _check(repository: Repository, file: str, path: Path) -> None:
    """The hub names large files in its cache by their sha256; a file that has another is taken out, so that the next run fetches it."""
    blob = path.resolve()
    wanted = repository.digests.get(file) or (blob.name if len(blob.name) == 64 else "")
    if wanted and digest_of(path) != wanted:
        for damaged in (path, blob):
            damaged.unlink(missing_ok=True)
        again = "Run the same command again" + (", where the hub can be reached." if repository.cached else ".")
        raise WeightsError(f"{file} of {repository.name} is damaged: its sha256 is not what the hub says. {again}")


@contextlib.contextmanager
def plain_downloads() -> Iterator[None]:
    """Plain HTTP for large files: its timeouts are known, and a download that broke off goes on where it was."""
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


@contextlib.contextmanager
def only_cache() -> Iterator[None]:
    """Within this, whatever uses huggingface_hub takes its files from the cache and asks nobody."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _bar(moved: Callable[[int], None]) -> type:
    """What huggingface_hub takes for a tqdm: tells how many bytes of a file are there."""

    class Bar:
        def __init__(self, *_: Any, initial: int = 0, total: int | None = None, **__: Any) -> None:
            self.n, self.total = initial, total

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            moved(self.n)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __getattr__(self, _name: str) -> Callable[..., None]:
            return lambda *_, **__: None  # close, refresh, set_description: nothing to draw

    return Bar


def _within(seconds: float, call: Callable[[], T]) -> T:
    """`call()`, given up after `seconds`. It runs in a thread of its own: nothing else can end a wait for a name server."""
    box: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((True, call()))
        except BaseException as error:  # handed to the caller, whatever it is
            box.put((False, error))

    threading.Thread(target=run, name="hub", daemon=True).start()
    try:
        good, value = box.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    if not good:
        raise value
    result: T = value
    return result


def _licence(card: Any) -> str:
    """The licence that a model card states; where it is "other", by its own name."""
    get: Callable[[str], Any] = card.get
    licence = get("license")
    licence = ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or "")
    return str(get("license_name") or licence) if licence == "other" else licence
