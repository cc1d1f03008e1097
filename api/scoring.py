"""`pellucid score`: how the library's photos look and feel, and how well they were taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preprocess import InputError

from .options import EncoderOption, JsonOption, LibraryOption, MegapixelsOption

if TYPE_CHECKING:
    from search import Encoder, EncoderOptions, Pair, Scored, Store

    from .settings import Settings

SHOWN = 3
"""Photos at each end of an axis that are printed."""
ON_SHEET = 8
NOTE = "Technical quality and beauty are axes of their own: with people's ratings of beauty CLIP-IQA agrees only weakly (SRCC about 0.34 on AVA)."
"""Beside all scores that are shown."""
FAST_NOTE = "In the mode fast an encoder saw a small square: of noise and slight blur it knows little."


def run_score(
    *, mode: str, axes: Sequence[str], pairs: Path | None, where: str | None, again: bool, library: Path | None, encoder: str | None,
    max_megapixels: float | None, on_progress: Callable[[int, int], None],
) -> dict[str, Any]:  # fmt: skip
    """Score with the settings; what was done, and how the scores lie.

    Raises:
        UnknownName: there is no such axis.
        InputError: the mode cannot give an axis, or the model that it needs is not here.
        FilterError: the condition is wrong.
        RecipeMismatch: the library has no vectors by this encoder.
        StorageFull: the disk took no more; the same command goes on from there.
    """
    from search import Library, Store, check_recipe, choose_pairs, index_command, make_marks, read_pairs

    from .library_photos import matching_keys
    from .settings import load_settings
    from .wiring import encoder_for

    begun = time.monotonic()
    more = read_pairs(pairs.expanduser()) if pairs is not None else ()
    rated, named = _split(mode, axes)
    chosen = choose_pairs(named, more) if named or not rated or not axes else ()
    settings = load_settings(library=library, encoder=encoder, max_megapixels=max_megapixels)
    if settings.runtime == "auto":
        settings = settings.model_copy(update={"runtime": "onnx"})  # importing torch takes longer than a few texts
    home = Library(settings.library.expanduser())
    encoding = encoder_for(home, settings)
    if mode == "fast":
        check_recipe(home, encoding)
    keys = None if where is None else matching_keys(home, where)
    with home.locked("score"):
        store = Store(home)
        files = _names(store, keys)
        only = None if where is None else set(files)
        report, scorer = _score(store, encoding, settings, mode, chosen, rated, only, again, on_progress)
        if report.scored:
            make_marks(store)  # here, so that the next search need not wait for it
    names = [pair.axis for pair in chosen] + ([_rating()] if rated else [])
    if not axes:
        names += [axis for axis in store.scores.axes() if axis.startswith("measured_")]  # which the build wrote
    return {
        "library": str(home.folder), "mode": mode, "encoder": scorer, "where": where, "photos": report.photos, "scored": report.scored, "before": report.before,
        "missing": report.missing, "index": index_command(home, encoding) if report.missing else None,
        "failed": {name: str(error) for name, error in report.failed.items()}, "seconds": round(time.monotonic() - begun, 2),
        "interrupted": report.interrupted, "note": f"{NOTE} {FAST_NOTE}" if mode == "fast" else NOTE, "axes": {axis: _lie(store.scores.values(axis), files) for axis in names},
    }  # fmt: skip


def _names(store: Store, keys: Collection[tuple[str, str]] | None) -> dict[str, str]:
    """A full name of each photo by its digest, of copies the first by name; with `keys`, of root and path, only of those."""
    rows = store.images(["root", "path", "digest"])
    found: dict[str, str] = {}
    for root, path, digest in zip(*(rows[name].to_pylist() for name in ("root", "path", "digest")), strict=True):
        if keys is None or (root, path) in keys:
            file = str(Path(root, path))
            found[digest] = min(found.get(digest, file), file)
    return found


def _rating() -> str:
    from search import RATING

    return RATING


def _split(mode: str, axes: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether the rating is asked for, and the other axes.

    Raises:
        InputError: there is no such mode, or it cannot rate.
    """
    if mode not in ("fast", "paper"):
        raise InputError(f"There is no mode {mode!r}: fast scores stored vectors, paper reads the photos.")
    named = [axis for axis in axes if axis != _rating()]
    rated = len(named) < len(axes) or (not axes and mode == "paper")
    if rated and mode == "fast":
        raise InputError("The rating is of a photo's pixels, which the mode fast does not read. Add --mode paper.")
    return rated, named


def _score(
    store: Store, encoder: Encoder, settings: Settings, mode: str, pairs: Sequence[Pair], rated: bool, only: Collection[str] | None, again: bool,
    on_progress: Callable[[int, int], None],
) -> tuple[Scored, str]:  # fmt: skip
    """The run, and the name of the encoder whose texts were asked."""
    from search import score_photos, score_vectors

    from .wiring import encoder_options, limits_of

    if mode == "fast":
        return score_vectors(store, encoder, pairs, only, again=again, on_progress=on_progress), encoder.recipe.encoder
    scorers, name = pixel_scorers(encoder, encoder_options(settings), pairs, rated=rated)
    return score_photos(store, scorers, only, limits=limits_of(settings), again=again, on_progress=on_progress), name


def pixel_scorers(encoder: Encoder, options: EncoderOptions, pairs: Sequence[Pair], *, rated: bool) -> tuple[list[Any], str]:
    """What scores pixels, and the name of the encoder that CLIP-IQA is of.

    Raises:
        InputError: no model here has CLIP-IQA's graph.
    """
    from search import iqa_folder, iqa_scorer, load_encoder, rating_scorer

    scorers, name = [], encoder.recipe.encoder
    if pairs:
        folder = iqa_folder(encoder, options.models)
        texts = encoder if getattr(encoder, "folder", None) == folder else load_encoder(folder.name, options)
        scorers.append(iqa_scorer(texts, folder, pairs, options))
        name = texts.recipe.encoder
    if rated:
        builtin = encoder if name == encoder.recipe.encoder == "builtin" else load_encoder("builtin", options)
        scorers.append(rating_scorer(builtin))
    return scorers, name


def _lie(values: Mapping[str, float], files: Mapping[str, str]) -> dict[str, Any]:
    """How the scores of some photos lie: quantiles, and the photos at both ends."""
    import numpy as np

    own = sorted((value, files[digest]) for digest, value in values.items() if digest in files)
    if not own:
        return {"photos": 0, "quantiles": None, "best": [], "worst": []}
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    found = np.quantile([value for value, _ in own], shares)
    ends = [[{"file": file, "score": round(value, 4)} for value, file in some] for some in (own[: -ON_SHEET - 1 : -1], own[:ON_SHEET])]
    quantiles = {f"{share:.0%}": round(float(value), 4) for share, value in zip(shares, found, strict=True)}
    return {"photos": len(own), "quantiles": quantiles, "best": ends[0], "worst": ends[1]}


def score(
    mode: Annotated[
        str,
        typer.Option(
            "--mode", metavar="fast|paper", help="fast: from stored vectors. paper: read every photo, at its own size; rate it too."
        ),
    ] = "fast",
    axes: Annotated[
        str | None,
        typer.Option("--axes", metavar="A,B", help="Only these: quality, sharpness, ..., rating.", show_default="all of the mode"),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="FILE", help="More axes: lines such as `warm: Warm photo. | Cold photo.`")
    ] = None,
    where: Annotated[str | None, typer.Option("--where", metavar="EXPR", help="Only photos that meet a condition.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Score what was scored before too; fast then replaces paper.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the best and the worst photos.")] = None,
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score how photos look and feel, for --where and --sort. What was scored before is left alone, so an interrupted run goes on."""
    from .output import count_bar, print_json, quiet_decoders
    from .score_output import print_scored, score_page
    from .wiring import write_text

    named = list(dict.fromkeys(name.strip() for name in axes.split(",") if name.strip())) if axes is not None else []
    if axes is not None and not named:
        raise typer.BadParameter("name an axis, such as --axes quality,sharpness")
    with quiet_decoders(), count_bar("scoring", not as_json) as move:
        outcome = run_score(
            mode=mode, axes=named, pairs=pairs, where=where, again=again, library=library, encoder=encoder, max_megapixels=max_megapixels,
            on_progress=move,
        )  # fmt: skip
    if html is not None:
        with quiet_decoders():
            page = score_page(outcome)
        write_text(html, page)
    print_json(outcome) if as_json else print_scored(outcome)
    if outcome["interrupted"]:
        raise typer.Exit(130)


__all__ = ["NOTE", "SHOWN", "pixel_scorers", "run_score", "score"]
