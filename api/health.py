"""`stats` and `doctor`: what a library holds, and whether all is well with it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import PellucidError, UnknownName, WeightsError

from .output import SHOWN_FAILURES, console, plain
from .wiring import folder_bytes

if TYPE_CHECKING:
    from search import Library, Store

PACKAGES = ("pellucid", "numpy", "pillow", "pillow-heif", "opencv-python-headless", "onnxruntime", "tokenizers", "lancedb", "pyarrow", "faiss-cpu",
            "rawpy", "scikit-image", "torch", "open_clip_torch")  # fmt: skip


def library_stats(library: Library) -> dict[str, Any]:
    """Counts, roots, sizes, dates, cameras and the recipe."""
    from search import Store

    store = Store(library)
    images = store.images(["root", "digest", "format", "taken_at", "camera", "byte_size", "dehazed"])
    annotations = store.regions.annotations()
    taken = sorted(day for day in images["taken_at"].to_pylist() if day)
    current = library.file.current
    by_root = Counter(images["root"].to_pylist())
    return {
        "library": str(library.folder),
        "photos": images.num_rows,
        "distinct_photos": len(set(images["digest"].to_pylist())),
        "files_bytes": sum(images["byte_size"].to_pylist()),
        "roots": {root: by_root[root] for root in library.file.roots},
        "formats": _most(images["format"].to_pylist()),
        "cameras": _most(images["camera"].to_pylist(), 10),
        "taken": [taken[0], taken[-1]] if taken else None,
        "failures": len(store.failures()),
        "dehaze": library.file.dehaze,
        "regions": library.file.regions,
        "regions_found": sum(annotated.regions for annotated in annotations.values()),
        "regions_by_people": sum(annotated.human for annotated in annotations.values()),
        "dehazed_photos": images.num_rows - images["dehazed"].null_count,
        "recipe": library.file.recipes.get(current) if current else None,
        "recipes": recipe_facts(library, store),
        "library_bytes": folder_bytes(library.folder),
    }


def recipe_facts(library: Library, store: Store) -> list[dict[str, Any]]:
    """What each recipe is, how many photos have a vector of it, and the bytes of its vectors and its cache."""
    from search import coverages

    file = library.file
    covered = coverages(store, file.plain_recipes())
    recipes = {recipe_id: file.recipes[recipe_id] for recipe_id in file.plain_recipes()}
    return [
        {"id": recipe_id, **{name: recipe.get(name) for name in ("encoder", "precision", "dim")},
         "current": recipe_id == file.current, "photos": covered[recipe_id].photos, "with_vector": covered[recipe_id].found,
         "missing": covered[recipe_id].missing, "unreadable": covered[recipe_id].unreadable,
         "dehazed": {enhancer: len(store.digests(other)) for enhancer, other in file.enhanced(recipe_id).items()},
         "bytes": sum(folder_bytes(library.store / f"{store.vector_table(own)}.lance") for own in (recipe_id, *file.enhanced(recipe_id).values()))
                  + sum(folder_bytes(folder) for folder in library.cache.glob(f"{recipe_id}-*"))}
        for recipe_id, recipe in recipes.items()
    ]  # fmt: skip


def _most(values: list[Any], k: int = 20) -> dict[str, int]:
    return dict(Counter(value for value in values if value).most_common(k))


def examine(library: Library) -> dict[str, Any]:
    """Findings about the library: `problems` need care, the rest is for information."""
    from search import Store

    problems: list[str] = []
    facts: dict[str, Any] = {"library": str(library.folder), "schema": library.file.schema, "problems": problems}
    facts["build_running"] = library.busy()
    facts["cache"] = "fresh" if (library.cache_of() / "spread.npz").is_file() else "stale; the next search makes it anew"
    try:
        store = Store(library)
        images = store.images(["root", "path", "digest"])
        keys = list(zip(images["root"].to_pylist(), images["path"].to_pylist(), strict=True))
        digests = set(images["digest"].to_pylist())
        facts["photos"], facts["distinct_photos"] = len(keys), len(digests)
        if len(set(keys)) != len(keys):
            problems.append(f"{len(keys) - len(set(keys))} photos stand in the store twice. Remedy: pellucid forget them, and index again.")
        current = library.file.current
        if current is not None:
            embedded = store.digests(current)
            facts["without_vector"], facts["unused_vectors"] = len(digests - embedded), len(embedded - digests)
        facts["recipes"] = recipe_facts(library, store)
        failures = store.failures()
        facts["failures"] = [{"file": f"{f.root}/{f.path}", "error": f.error, "message": f.message} for f in failures]
    except PellucidError as error:
        problems.append(str(error))
        facts["failures"] = []
    facts["roots"] = {root: "there" if Path(root).is_dir() else "not there; nothing of it is forgotten" for root in library.file.roots}
    _examine_encoders(library, facts, problems)
    _examine_regions(library, problems)
    free = shutil.disk_usage(library.folder).free
    facts["free_bytes"] = free
    if free < 200_000_000:
        problems.append(f"The disk has only {free / 1e6:.0f} MB left. Free some space before the next build.")
    facts["versions"] = {"python": sys.version.split()[0]} | {name: _version(name) for name in PACKAGES}
    return facts


def _examine_encoders(library: Library, facts: dict[str, Any], problems: list[str]) -> None:
    """Whether the encoder of each recipe is here and whole, and what is left to do for its vectors.

    Whatever hinders searches by the current recipe, and damaged files, need care; the rest is for information, in `state`.
    """
    from search import encoder_gone, index_command, made_by, remedy

    from .settings import load_settings
    from .wiring import encoder_name, encoder_options

    settings = load_settings()
    recipes: list[dict[str, Any]] = facts.setdefault("recipes", [])
    facts["encoder"] = None
    for recipe in recipes:
        name, damaged = str(recipe["encoder"]), False
        try:
            encoder = made_by(library, recipe["id"], encoder_options(settings))
            wrong = encoder.verify() if encoder is not None and hasattr(encoder, "verify") else []
            if wrong and encoder is not None:
                help_ = remedy(encoder.folder)  # type: ignore[attr-defined]
                damaged, state = True, f"Files of the encoder {name!r} are damaged: {', '.join(wrong)}. {help_}"
            elif encoder is None:
                state = f"{name!r} has other weights now than when it made these vectors. Remedy: {index_command(library, recipe['id'])}"
            elif recipe["missing"]:
                state = f"{recipe['missing']} photos have no vector by {name!r}. Remedy: {index_command(library, recipe['id'])}"
            else:
                state = "complete"
        except UnknownName:
            state = encoder_gone(library, name, settings.models)
        except PellucidError as error:
            damaged, state = isinstance(error, WeightsError), str(error)
        recipe["state"] = state
        if damaged or (recipe["current"] and state != "complete"):
            problems.append(state)
        if recipe["current"]:
            facts["encoder"] = f"{name}, {recipe['dim']} numbers a vector, recipe {recipe['id']}" if state == "complete" else "needs care"
    wanted = encoder_name(settings, library)
    if recipes and wanted not in {recipe["encoder"] for recipe in recipes}:
        problems.append(
            f"The settings ask for the encoder {wanted!r}, by which the library has no vectors. Remedy: pellucid index --library "
            f"{shlex.quote(str(library.folder))} --encoder {shlex.quote(wanted)}, or leave the setting out."
        )


def _examine_regions(library: Library, problems: list[str]) -> None:
    """Whether the next build can find regions as the last one did; with a setting that says otherwise, that is what counts."""
    from .library_regions import find_maker_fault
    from .settings import load_settings

    settings = load_settings()
    if settings.regions is None and (fault := find_maker_fault(library, settings.models.expanduser())):
        problems.append(fault)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def print_facts(facts: dict[str, Any]) -> None:
    """Names and values, nested ones indented."""
    out = console()
    for name, value in facts.items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            out.print(f"{label}:" + ("" if value else " none"))
            for key, inner in value.items():
                out.print(f"  {plain(str(key))}: {plain(_shown(inner))}")
        elif name == "recipes":
            out.print(f"{label}:" + ("" if value else " none"))
            for recipe in value:
                out.print(f"  {plain(_recipe_line(recipe))}")
        elif name.endswith("_bytes"):
            out.print(f"{label.removesuffix(' bytes')} size: {value / 1e6:,.1f} MB")
        else:
            out.print(f"{label}: {plain(_shown(value))}")


def _recipe_line(recipe: dict[str, Any]) -> str:
    """One recipe in a line: `finer: fp32, 49 numbers a vector, 9 of 10 photos, 0.1 MB; searches use it`."""
    line = (f"{recipe['encoder']}: {recipe['precision']}, {recipe['dim']} numbers a vector, {recipe['with_vector']:,} of {recipe['photos']:,} photos, "
            f"{recipe['bytes'] / 1e6:,.1f} MB")  # fmt: skip
    line += "".join(f"; {count:,} also through {plain(enhancer)}" for enhancer, count in recipe["dehazed"].items() if count)
    line += "; searches use it" if recipe["current"] else ""
    return line + (f"; {recipe['state']}" if recipe.get("state") else "")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list):
        return " to ".join(map(str, value))
    return "none" if value is None else str(value)


def print_examination(facts: dict[str, Any], *, every: bool) -> None:
    """Findings for people: failures first by count, problems last, so that they are seen."""
    out = console()
    print_facts({name: value for name, value in facts.items() if name not in ("failures", "problems")})
    failures = facts["failures"]
    out.print(f"files that could not be indexed: {len(failures):,}")
    for failure in failures if every else failures[:SHOWN_FAILURES]:
        out.print(f"  {plain(failure['message'])}")
    if len(failures) > SHOWN_FAILURES and not every:
        out.print(f"  ... and {len(failures) - SHOWN_FAILURES:,} more: pellucid doctor --failures")
    for problem in facts["problems"]:
        out.print(f"PROBLEM: {plain(problem)}")
    if not facts["problems"]:
        out.print("All is well." if not failures else "All is well with the library; the files above are not in it.")
