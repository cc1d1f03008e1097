"""The recipes of a library: which of its vectors an encoder can be compared with, and how many photos still lack one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from preprocess import InputError, UnknownName, WeightsError

from .encode import ENCODERS, Encoder, EncoderOptions, load_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from .library import Library, LibraryFile
    from .store import Store


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many distinct photos a library has, and how many of them lack a vector of one recipe.

    `missing` ones get theirs when the library is indexed; `unreadable` ones have become damaged since they were first indexed, so they cannot.
    What may pass, as when a disk does not answer or the encoder failed, makes a photo missing: its older vectors must not go for it.
    """

    photos: int
    missing: int
    unreadable: int = 0

    @property
    def complete(self) -> bool:
        """Whether every photo that can be read has a vector."""
        return self.missing == 0

    @property
    def found(self) -> int:
        """How many photos a search can find."""
        return self.photos - self.missing - self.unreadable


def coverages(store: Store, recipe_ids: Iterable[str]) -> dict[str, Coverage]:
    """The coverage of each recipe; the rows are read once."""
    images = store.images(["root", "path", "digest"])
    failed = {(failure.root, failure.path) for failure in store.failures() if not failure.may_pass}
    keys = zip(images["root"].to_pylist(), images["path"].to_pylist(), strict=True)
    digests = images["digest"].to_pylist()
    readable = {digest for key, digest in zip(keys, digests, strict=True) if key not in failed} if failed else set(digests)
    every = set(digests)
    found = {}
    for recipe_id in recipe_ids:
        lacking = every - store.digests(recipe_id)
        missing = len(lacking & readable)
        found[recipe_id] = Coverage(len(every), missing, len(lacking) - missing)
    return found


def coverage(store: Store, recipe_id: str) -> Coverage:
    """How many photos lack a vector of this recipe."""
    return coverages(store, [recipe_id])[recipe_id]


def recipes_of(file: LibraryFile, name: str) -> list[str]:
    """Recipes of the encoder called `name`, of photos as they are: the one that searches use first, then by age."""
    own = [recipe_id for recipe_id in file.plain_recipes() if file.recipes[recipe_id].get("encoder") == name]
    return sorted(own, key=lambda recipe_id: recipe_id != file.current)


def made_by(library: Library, recipe_id: str, options: EncoderOptions) -> Encoder | None:
    """The encoder that made a recipe's vectors; none where its files hold other weights now.

    Raises:
        UnknownName: no encoder has its name.
        WeightsError: its files are missing or damaged.
        MissingExtra: it needs an extra that is not installed.
    """
    facts = library.file.recipes[recipe_id]
    encoder = load_encoder(str(facts["encoder"]), replace(options, precision=str(facts["precision"])))
    return encoder if encoder.recipe.id == recipe_id else None


def encoder_of(library: Library, name: str, options: EncoderOptions) -> Encoder:
    """The encoder called `name`, at the precision of the library's vectors by it; as `options` say where its files made none of them.

    Raises:
        UnknownName: no encoder has this name, and the library has no vectors by one.
        WeightsError: its files are missing or damaged.
        MissingExtra: it needs an extra that is not installed.
    """
    recipes = recipes_of(library.file, name)
    try:
        for recipe_id in recipes:
            try:
                encoder = made_by(library, recipe_id, options)
            except (WeightsError, InputError) as error:
                if isinstance(error, UnknownName):
                    raise
                continue  # its files may have no graph of this precision any more
            if encoder is not None:
                return encoder
        return load_encoder(name, options)
    except UnknownName as error:
        if not recipes:
            raise
        raise WeightsError(encoder_gone(library, name, options.models)) from error


def encoder_gone(library: Library, name: str, models: Path | None) -> str:
    """What to do where the files of an encoder are not here whose vectors the library has."""
    others = [str(facts["encoder"]) for facts in library.file.recipes.values() if facts["encoder"] != name]
    other = (
        f"or use another: {use_command(library.folder, others[0])}"
        if others
        else "or make the vectors of another: pellucid index --encoder OTHER"
    )
    return f"{library.folder} has vectors by the encoder {name!r}, whose files are not in {models}. Add it again (pellucid models list), {other}"


def index_command(library: Library, recipe: Encoder | str) -> str:
    """The command that makes the vectors which a recipe of the library lacks, or those of an encoder that it has none of."""
    name = recipe.recipe.encoder if not isinstance(recipe, str) else str(library.file.recipes[recipe]["encoder"])
    words = f"pellucid index --library {shlex.quote(str(library.folder))} --encoder {shlex.quote(name)}"
    if not isinstance(recipe, str) or name in ENCODERS:
        return words
    precision = library.file.recipes[recipe]["precision"]
    several = {library.file.recipes[other]["precision"] for other in recipes_of(library.file, name)} - {precision}
    asks = several and precision in ("fp32", "int8")  # others come with their runtime
    return f"{words} --precision {precision}" if asks else words  # without it, the first of them would be brought up to date


def use_command(library: Path, name: str) -> str:
    """The command that lets searches use an encoder."""
    return f"pellucid models use {shlex.quote(name)} --library {shlex.quote(str(library))}"
