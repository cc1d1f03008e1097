"""Put settings, library, encoder and pipeline together; the command line and the service call these."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import InputError, Limits, StorageFull, is_photo, load_rule
from search import ENCODERS, STRICTNESS, Answer, EncoderOptions, Library, Query, answer, encoder_of, load_encoder, parse_terms

from .library_regions import find_maker_fault
from .settings import Settings, load_settings

if TYPE_CHECKING:
    from indexer import BuildOptions, Report
    from search import Encoder


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a search may be asked beside its terms; as `Query` has them."""

    k: int = 10
    where: str | None = None
    within: str | None = None
    strictness: int = STRICTNESS
    sort: str = "relevance"
    diverse: bool = False
    collapse: bool = False


def open_library(folder: Path | None) -> Library:
    """The library that the settings name."""
    return Library(load_settings(library=folder).library.expanduser())


def limits_of(settings: Settings) -> Limits:
    """Caps on what is decoded."""
    return Limits(max_pixels=int(settings.max_megapixels * 1_000_000))


def encoder_options(settings: Settings, precision: str | None = None) -> EncoderOptions:
    """How encoders are loaded, with the settings."""
    return EncoderOptions(models=settings.models.expanduser(), precision=precision, runtime=settings.runtime)


def encoder_name(settings: Settings, library: Library | None) -> str:
    """The encoder that is asked for; where none is, the one whose vectors the library's searches use, and the one that ships in a new library."""
    if settings.encoder is not None or library is None or library.file.current not in library.file.recipes:
        return settings.encoder or "builtin"
    return str(library.file.recipes[library.file.current]["encoder"])


def encoder_for(library: Library, settings: Settings, name: str | None = None) -> Encoder:
    """An encoder, ready for the library's vectors by it."""
    return encoder_of(library, name or encoder_name(settings, library), encoder_options(settings))


def lone_encoder(name: str | None) -> Encoder:
    """An encoder for work without a library; `auto` precision is then what the model's own file is."""
    settings = load_settings(encoder=name)
    wanted = settings.encoder or "builtin"
    if settings.precision == "auto" or wanted in ENCODERS:
        return load_encoder(wanted, encoder_options(settings))
    return encoder_as_asked(wanted, settings)


def encoder_as_asked(name: str, settings: Settings) -> Encoder:
    """An added model at the precision that the settings name; the files for it are made where they are not there yet."""
    from search import choose_precision

    asked = encoder_options(settings, settings.precision)
    choose_precision(name, [], asked)
    return load_encoder(name, asked)


def run_index(
    roots: Sequence[Path],
    *,
    dry_run: bool,
    on_progress: Callable[[Report], None],
    on_note: Callable[[str], None] = lambda _line: None,
    **given: Any,
) -> Report:
    """Build with the settings; `on_note` gets one line where the precision was measured."""
    from annotate import RegionMakerOptions, load_region_maker
    from indexer import BuildOptions, WalkOptions, build

    settings = load_settings(**given)
    folder = settings.library.expanduser()
    options = BuildOptions(
        walk=WalkOptions(tuple(settings.exclude), settings.include_hidden),
        limits=limits_of(settings),
        jobs=settings.jobs,
        dry_run=dry_run,
        dehaze=settings.dehaze,
        regions=settings.regions,
        models=settings.models.expanduser(),
    )
    if settings.dehaze is not None:
        load_rule(settings.dehaze)  # before a library is made
    if settings.regions is not None:
        load_region_maker(settings.regions, RegionMakerOptions(options.models))
    for root in roots:
        if not root.expanduser().is_dir() and not (folder / "library.json").is_file():
            raise InputError(f"There is no folder {root}. Check the name, or mount the disk it is on.")
    if dry_run and not (folder / "library.json").is_file():
        import tempfile

        with tempfile.TemporaryDirectory() as nowhere:
            library = Library(Path(nowhere) / "library", create=True)
            return build(library, roots, encoder_for(library, settings), options, on_progress)
    if not roots and not (folder / "library.json").is_file():
        raise InputError("Give a folder to index: pellucid index FOLDER")
    library = Library(folder, create=True)
    if settings.regions is None and (fault := find_maker_fault(library, settings.models.expanduser())):
        raise InputError(fault)
    encoder, note = _with_precision(library, settings, roots, options)
    if note is not None:
        on_note(note)
    report = build(library, roots, encoder, options, on_progress)
    report.precision_note = note
    return report


def _with_precision(library: Library, settings: Settings, roots: Sequence[Path], options: BuildOptions) -> tuple[Encoder, str | None]:
    """The encoder at the precision that the settings ask for, and the line that says what was measured to choose it.

    The built-in encoder has one precision. `auto` is that of the library's vectors by this encoder, so that they are never mixed; where there
    are none yet, it is measured on the first photos of the roots.
    """
    from indexer import first_photos
    from search import choose_precision

    name, plain = encoder_name(settings, library), encoder_options(settings)
    encoder = encoder_of(library, name, plain)
    if name in ENCODERS or (settings.precision == "auto" and (options.dry_run or encoder.recipe.id in library.file.recipes)):
        return encoder, None
    if settings.precision != "auto":
        asked = load_encoder(name, encoder_options(settings, settings.precision)) if options.dry_run else encoder_as_asked(name, settings)
        return asked, None
    decision = choose_precision(name, first_photos(library, roots, encoder.side, options), plain)
    return load_encoder(name, encoder_options(settings, decision.precision)), decision.line


def run_search(terms: Sequence[str], options: SearchOptions | None = None, **given: Any) -> Answer:
    """Hits with the settings. `auto` runs the graphs here, GPU or not: importing torch takes longer than a query of any model."""
    options = options or SearchOptions()
    asked, without = parse_terms(terms)
    query = Query(
        asked, options.k, options.where, options.within, without, options.strictness, options.sort, options.diverse, options.collapse
    )
    settings = load_settings(**given)
    if settings.runtime == "auto":
        settings = settings.model_copy(update={"runtime": "onnx"})
    library = Library(settings.library.expanduser())
    return answer(library, query, encoder_for(library, settings), limits=limits_of(settings), allow_private=settings.allow_private_urls)


def picture_of(terms: Sequence[str]) -> Path | None:
    """The first term that is a picture on disk."""
    files = [Path(term.text).expanduser() for term in parse_terms(terms)[0] if term.kind == "file"]
    return files[0] if files else None


def write_text(file: Path, text: str) -> None:
    """Write a page, through a temporary name.

    Raises:
        InputError: the folder is missing or cannot be written.
        StorageFull: the disk took no more.
    """
    if is_photo(file.name):
        raise InputError(f"{file} has the name of a photo; a page is not written over one. Name a file that ends in .html.")
    fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
        fresh.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):  # where nothing can be written, nothing can be removed
            fresh.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull(f"{file} could not be written: {error.strerror}. Free some space and run the same command again.") from error
        raise InputError(f"{file} cannot be written: {error.strerror or error}. Name a file in a folder that can be written to.") from error


def run_compact(folder: Path | None) -> tuple[int, int]:
    """Compact with no older versions kept; bytes before and after."""
    import shutil
    from datetime import timedelta

    from search import Store, make_derived

    library = open_library(folder)
    with library.locked("compact"):
        before = folder_bytes(library.folder)
        store = Store(library)
        store.sweep()
        store.compact(timedelta(0))
        shutil.rmtree(library.cache, ignore_errors=True)
        for recipe in library.file.plain_recipes():
            make_derived(store, recipe)
        return before, folder_bytes(library.folder)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total


__all__ = [
    "SearchOptions", "encoder_as_asked", "encoder_for", "encoder_name", "encoder_options", "folder_bytes", "limits_of", "lone_encoder", "open_library", "picture_of", "run_compact",
    "run_index", "run_search", "write_text",
]  # fmt: skip
