"""`pellucid segment`: regions of whatever is named in words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from preprocess import InputError

from .annotating import DrawOption, ForceOption, PhotosArgument, run_annotating
from .options import JsonOption, MegapixelsOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from annotate import Annotation, RegionMaker
    from preprocess import RgbImage
    from search import OpenVocabulary

    from .settings import Settings


def segment(
    paths: PhotosArgument,
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
    draw: DrawOption = None,
    force: ForceOption = False,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find regions by words, with no segmenter. For one with labels of its own, see pellucid annotate. Nothing is written to a library."""
    from .settings import load_settings

    if labels is None:
        raise InputError(
            'Name what to look for: --labels "dog, sofa, window". A segmenter with labels of its own is: pellucid annotate PATH'
        )
    settings = load_settings(encoder=encoder, max_megapixels=max_megapixels)
    make = partial(_maker, words_of(labels), words_of(others or ""), threshold, settings)
    run_annotating(paths, make, settings, draw=draw, force=force, jobs=1, as_json=as_json)  # the encoder has threads of its own


def words_of(text: str) -> tuple[str, ...]:
    """Words between commas, without what is empty.

    >>> words_of("dog,  traffic light,,sofa")
    ('dog', 'traffic light', 'sofa')
    """
    return tuple(" ".join(word.split()) for word in text.split(",") if word.strip())


class _Shown:
    """A maker of regions by words that says how much of a photo is done: without dense features, a photo is hundreds of crops."""

    def __init__(self, maker: OpenVocabulary, on_share: Callable[[float], None]) -> None:
        self.maker, self.on_share = maker, on_share
        self.id, self.short, self.labels = maker.id, maker.short, maker.labels

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        return self.maker(pixels, size_wh, lambda _, share: self.on_share(share or 0.0))


def _maker(
    labels: tuple[str, ...], others: tuple[str, ...], threshold: float | None, settings: Settings, on_share: Callable[[float], None]
) -> RegionMaker:  # fmt: skip
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
    return _Shown(OpenVocabulary(dense, names, options), on_share)
