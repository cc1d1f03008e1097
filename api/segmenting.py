"""`pellucid segment`: regions of whatever is named in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preprocess import InputError, PellucidError

from .options import JsonOption, MegapixelsOption

if TYPE_CHECKING:
    from annotate import Annotation
    from search import OpenVocabulary


def segment(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Photos, and folders of photos with all below them.")],
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="WORDS", help='What to look for, separated by commas: "dog, sofa, window".')
    ] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="What compares photos with words.", show_default="builtin")] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="SHARE", help="How likely the labels must be, 0 to 1; higher finds less.", show_default="0.25"),
    ] = None,
    others: Annotated[
        str | None, typer.Option("--others", metavar="WORDS", help="What else the photos show and is not looked for, separated by commas.")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option("--draw", metavar="OUT", help="Draw the regions on a copy: a .jpg or .png, or a folder for several.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace drawn copies that exist. Originals are never written to.")] = False,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find regions by words, with no segmenter. For one with labels of its own, see pellucid annotate. Nothing is written to a library."""
    from indexer import WalkOptions

    from .drawing import DRAWN, annotation_dict, photos_of, regions_table, targets
    from .output import console, plain, print_json, quiet_decoders
    from .settings import load_settings
    from .wiring import limits_of

    if labels is None:
        raise InputError(
            'Name what to look for: --labels "dog, sofa, window". A segmenter with labels of its own is: pellucid annotate PATH'
        )
    settings = load_settings(encoder=encoder, max_megapixels=max_megapixels)
    photos, failed = photos_of(paths, WalkOptions((*settings.exclude, DRAWN), settings.include_hidden))
    outs = targets(photos, draw, force=force)
    maker = _maker(words_of(labels), words_of(others or ""), threshold, settings)
    rows: list[dict[str, Any]] = []
    with quiet_decoders(), _bar(len(photos), shown=not as_json) as move:
        for at, (photo, out) in enumerate(zip(photos, outs, strict=True)):
            try:
                annotation = _annotated(photo, out, maker, force, limits_of(settings), lambda _, share, at=at: move(at + (share or 0)))
            except PellucidError as error:
                if len(photos) == 1 and not failed:
                    raise
                failed[str(photo)] = error
                continue
            if as_json:
                rows.append(annotation_dict(photo, annotation) | {"drawn": None if out is None else str(out)})
            else:
                regions_table(photo, annotation)
    if as_json:
        print_json({"labels": list(maker.labels), "photos": rows, "failed": {name: str(fault) for name, fault in failed.items()}})
    else:
        if draw is not None and len(failed) < len(photos):
            console().print(plain(f"Drawn: {draw}"))
        for fault in failed.values():
            typer.echo(plain(str(fault)), err=True)
        if not photos and not failed:
            typer.echo("There is no photo in these folders.", err=True)


def words_of(text: str) -> tuple[str, ...]:
    """Words between commas, without what is empty.

    >>> words_of("dog,  traffic light,,sofa")
    ('dog', 'traffic light', 'sofa')
    """
    return tuple(" ".join(word.split()) for word in text.split(",") if word.strip())


def _maker(labels: tuple[str, ...], others: tuple[str, ...], threshold: float | None, settings: Any) -> OpenVocabulary:
    """What finds the regions; says on standard error where an added model could do better."""
    from search import CropEncoder, OpenVocabulary, VocabularyOptions, labels_of, load_dense

    from .wiring import encoder_options

    options = VocabularyOptions(others=others) if threshold is None else VocabularyOptions(threshold, others)
    names = labels_of(labels)  # before weights are loaded
    name = settings.encoder or "builtin"
    dense = load_dense(name, encoder_options(settings))
    if isinstance(dense, CropEncoder) and name != "builtin":
        typer.echo(
            f"{name} has no dense features, so crops of each photo are encoded: slow, and coarse. Where it is a vision transformer: pellucid models dense {name}",
            err=True,
        )
    return OpenVocabulary(dense, names, options)


def _annotated(photo: Path, out: Path | None, maker: OpenVocabulary, force: bool, limits: Any, on_progress: Any) -> Annotation:
    from .drawing import draw_copy, read_working

    pixels, size_wh = read_working(photo, limits, maker.short, drawn=out is not None)
    annotation = maker(pixels, size_wh, on_progress)
    if out is not None:
        draw_copy(pixels, annotation, out, force=force)
    return annotation


def _bar(photos: int, *, shown: bool) -> Any:
    """A bar over photos, and over what is done of each."""
    import contextlib

    from .output import count_bar

    @contextlib.contextmanager
    def bar() -> Any:
        with count_bar("segmenting", shown) as move:
            yield lambda done: move(done, photos)

    return bar()
