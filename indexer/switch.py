"""After a build: which recipe searches use, and which older one is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search import coverage, index_command, recipes_of, use_command

from .report import Report

if TYPE_CHECKING:
    from search import Recipe, Store


def settle(store: Store, recipe: Recipe, report: Report) -> None:
    """Say how complete the recipe is. Once it is, past versions of the same encoder go, and searches that used one use this recipe.

    Another encoder never takes over by itself: searches go on with theirs until somebody switches.
    """
    library = store.library
    complete = measure(store, recipe, report)
    order = list(library.file.recipes)
    past = [other for other in recipes_of(library.file, recipe.encoder) if order.index(other) < order.index(recipe.id)]
    if complete and past:
        if library.file.current in past:
            store.use(recipe)
        for other in past:
            store.drop_recipe(other)
        report.replaced = past
    describe(store, recipe, report)


def measure(store: Store, recipe: Recipe, report: Report) -> bool:
    """Count the photos that lack a vector of this recipe; whether none does that can be read."""
    cover = coverage(store, recipe.id)
    report.photos, report.without_vector = cover.photos, cover.missing
    return cover.complete


def describe(store: Store, recipe: Recipe, report: Report) -> None:
    """Note the recipe, the encoder that searches use, and what a person has to run next."""
    file = store.library.file
    report.recipe = dict(recipe.as_dict()) | {"id": recipe.id}
    report.searches_use = str(file.recipes[file.current]["encoder"]) if file.current in file.recipes else None
    report.finish = index_command(store.library, recipe.id)
    report.switch = (
        None if file.current == recipe.id or report.searches_use == recipe.encoder else use_command(store.library.folder, recipe.encoder)
    )
