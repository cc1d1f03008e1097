"""Which encoder a library's searches use: `pellucid models use | remove | compare`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import InputError, LibraryNotFound, RecipeMismatch, WeightsError, choose, kind_of, remove_model
from search import (
    ENCODERS,
    Coverage,
    Library,
    coverages,
    encoder_of,
    index_command,
    made_by,
    make_derived,
    recipes_of,
    use_command,
)

from .settings import Settings, load_settings
from .wiring import encoder_as_asked, encoder_options, folder_bytes, limits_of

if TYPE_CHECKING:
    from search import Encoder, Store


def run_use(name: str, *, force: bool, library: Path | None) -> dict[str, Any]:
    """Let searches use the vectors by the encoder called `name`.

    Raises:
        UnknownName: neither the library nor the models have this encoder.
        RecipeMismatch: its vectors are missing or incomplete; the message says how many are, and the command that makes them.
        WeightsError: its files are not here.
    """
    from search import Store

    settings = load_settings(library=library)
    place = Library(settings.library.expanduser())
    _known(name, place, settings)
    with place.locked("models use"):
        store = Store(place)
        encoder, covered = _best(name, place, store, settings)
        before = place.file.recipes.get(str(place.file.current), {}).get("encoder")
        if not covered.complete and not force and place.file.current != encoder.recipe.id:
            raise RecipeMismatch(
                f"{covered.missing:,} of {covered.photos:,} photos have no vector by the encoder {name!r} yet. Finish: "
                f"{index_command(place, encoder.recipe.id)}; or switch all the same, with --force."
            )
        make_derived(store, encoder.recipe.id)
        if place.file.current != encoder.recipe.id:
            place.write(replace(place.file, current=encoder.recipe.id))
    return {"library": str(place.folder), "encoder": name, "recipe": encoder.recipe.id, "precision": encoder.recipe.precision, "was": before,
            "photos": covered.photos, "missing": covered.missing,
            "setting": settings.encoder if settings.encoder not in (None, name) else None}  # fmt: skip


def _best(name: str, library: Library, store: Store, settings: Settings) -> tuple[Encoder, Coverage]:
    """The encoder whose vectors in the library are the most complete, of those called `name`."""
    options = encoder_options(settings)
    own = recipes_of(library.file, name)
    encoder = encoder_of(library, name, options)
    covered = coverages(store, own)
    usable = [recipe_id for recipe_id in own if recipe_id == encoder.recipe.id or _loads(library, recipe_id, settings)]
    if not usable:
        photos = len(set(store.images(["digest"])["digest"].to_pylist()))
        why = " Those that it has were made with other weights." if own else ""
        raise RecipeMismatch(
            f"{library.folder} has no vectors by the encoder {name!r}: all {photos:,} photos lack one.{why} "
            f"Make them: {index_command(library, encoder)}"
        )
    best = min(usable, key=lambda recipe_id: covered[recipe_id].missing)
    return made_by(library, best, options) or encoder, covered[best]


def _loads(library: Library, recipe_id: str, settings: Settings) -> bool:
    try:
        return made_by(library, recipe_id, encoder_options(settings)) is not None
    except (WeightsError, InputError):
        return False


def run_remove(name: str, *, vectors_only: bool, library: Path | None) -> dict[str, Any]:
    """Drop the library's vectors by an encoder, and its files where it was added; says what went and how many bytes.

    Raises:
        UnknownName: neither the library nor the models have this encoder.
        InputError: searches use its vectors, or it is the only encoder whose vectors are complete; or there is nothing to remove.
        WeightsError: its files cannot be removed.
    """
    from search import Store

    settings = load_settings(library=library)
    try:
        place: Library | None = Library(settings.library.expanduser())
    except LibraryNotFound:
        place = None
    folder = _known(name, place, settings)
    outcome: dict[str, Any] = {
        "encoder": name,
        "library": None,
        "recipes": [],
        "vectors": 0,
        "vectors_bytes": 0,
        "folder": None,
        "model_bytes": 0,
    }
    if place is not None and recipes_of(place.file, name):
        with place.locked("models remove"):
            store = Store(place)
            own = recipes_of(place.file, name)
            _may_go(name, own, place, store)
            before = folder_bytes(place.folder)
            outcome["vectors"] = sum(len(store.digests(recipe_id)) for recipe_id in own)
            for recipe_id in own:
                store.drop_recipe(recipe_id)
            outcome |= {"library": str(place.folder), "recipes": own, "vectors_bytes": before - folder_bytes(place.folder)}
    if folder is not None and not vectors_only:
        outcome |= {"folder": str(folder), "model_bytes": 0 if folder.is_symlink() else folder_bytes(folder)}
        remove_model(folder)
    if not outcome["recipes"] and outcome["folder"] is None:
        where = f" in {place.folder}" if place is not None else ""
        raise InputError(f"There is nothing to remove: the encoder {name!r} has no vectors{where}{_kept(name, folder)}.")
    return outcome


def _kept(name: str, folder: Path | None) -> str:
    if name in ENCODERS:
        return ", and it ships with Pellucid"
    return f"; its files are in {folder}" if folder is not None else ""


def _may_go(name: str, own: list[str], library: Library, store: Store) -> None:
    """Refuse to take away what searches need."""
    recipes, plain = library.file.recipes, library.file.plain_recipes()
    covered = coverages(store, plain)
    others = [recipe_id for recipe_id in plain if recipe_id not in own]
    ready = [recipe_id for recipe_id in others if covered[recipe_id].complete]
    first = index_command(library, others[0]) if others else f"pellucid index --library {shlex.quote(str(library.folder))} --encoder OTHER"
    if library.file.current in own:
        then = use_command(library.folder, str(recipes[(ready or others)[0]]["encoder"])) if others else "pellucid models use OTHER"
        remedy = f"Switch first: {then}" if ready else f"No other encoder's vectors are complete. First: {first}; then: {then}"
        raise InputError(f"Searches in {library.folder} use the encoder {name!r}. {remedy}")
    if not ready and any(covered[recipe_id].complete for recipe_id in own):
        raise InputError(f"{name!r} is the only encoder whose vectors are complete in {library.folder}. First finish another: {first}")


def _known(name: str, library: Library | None, settings: Settings) -> Path | None:
    """The folder of an added model, also of a damaged one; a name must be one of those that are there, so it cannot lead elsewhere.

    Raises:
        UnknownName: neither the library nor the models have this encoder.
    """
    models = settings.models.expanduser()
    entries = sorted(models.iterdir()) if models.is_dir() else []
    here = {entry.name: entry for entry in entries if not entry.name.startswith(".") and entry.name not in ENCODERS and _is_model(entry)}
    stored = {str(recipe["encoder"]) for recipe in library.file.recipes.values()} if library is not None else set()
    known: dict[str, Path | None] = {**dict.fromkeys((*ENCODERS, *sorted(stored))), **here}
    return choose(known, name, "encoder")


def _is_model(entry: Path) -> bool:
    """Whether it is an encoder's folder, perhaps a damaged one, or a link that leads nowhere now; not something else that lies there."""
    if entry.is_symlink() and not entry.exists():
        return True
    return any((entry / file).exists() for file in ("weights.json", "image.onnx")) and kind_of(entry) == "encoder"


def run_compare(first: str, second: str, *, sample: int, library: Path | None, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Compare two encoders on a sample of the library.

    Raises:
        InputError: they are the same, one is not known, or the sample or the library is too small.
    """
    from indexer import CompareOptions, compare_encoders

    settings = load_settings(library=library)
    place = Library(settings.library.expanduser())
    if first == second:
        raise InputError(f"Both names are {first!r}. Name two encoders that differ.")
    encoders = [_for_comparison(name, place, settings) for name in (first, second)]
    options = CompareOptions(sample=sample, limits=limits_of(settings), jobs=settings.jobs)
    return compare_encoders(place, encoders[0], encoders[1], options, on_progress)


def _for_comparison(name: str, library: Library, settings: Settings) -> Encoder:
    """At the precision of the library's vectors; without any, at that of the settings, or at that of the model's own file."""
    encoder = encoder_of(library, name, encoder_options(settings))
    if settings.precision == "auto" or name in ENCODERS or encoder.recipe.id in library.file.recipes:
        return encoder
    return encoder_as_asked(name, settings)
