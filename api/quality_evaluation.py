"""`pellucid eval quality`: how well every score of quality agrees with people's ratings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .evaluation import evaluate_app
from .options import EncoderOption, JsonOption, MegapixelsOption

if TYPE_CHECKING:
    from preprocess import RgbImage
    from search import Encoder, PixelScorer


@evaluate_app.command()
def quality(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos, and a mos.csv with the columns image and mos.")],
    encoder: EncoderOption = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="CLIP-IQA at the photos' own size too, which needs a model with its graph: pellucid models iqa.")
    ] = False,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """SRCC, PLCC and KRCC of each axis, each measure and the rating with people's ratings."""
    from search import PAIRS, evaluate_quality

    from .output import count_bar, print_json, quiet_decoders
    from .scoring import pixel_scorers
    from .settings import load_settings
    from .wiring import encoder_options, limits_of, lone_encoder

    settings = load_settings(max_megapixels=max_megapixels)
    encoding = lone_encoder(encoder)
    pairs = tuple(PAIRS.values()) if paper else ()
    named, name = pixel_scorers(encoding, encoder_options(settings), pairs, rated=True)
    scorers = [*_prefixed(named, paper=paper), _measures(encoding), _fast(encoding)]
    with quiet_decoders(), count_bar("scoring", not as_json) as move:
        figures = evaluate_quality(folder.expanduser(), scorers, limits_of(settings), move)
    figures |= {"encoder": encoding.recipe.encoder, "paper": name if paper else None}
    print_json(figures) if as_json else _table(figures)


def _prefixed(scorers: list[Any], *, paper: bool) -> list[PixelScorer]:
    """The rating last, under its own name; CLIP-IQA's axes with their mode, since those of the other are there too."""
    from search import PixelScorer

    def renamed(scorer: Any) -> PixelScorer:
        return PixelScorer(scorer.side, lambda pixels: {f"paper {axis}": value for axis, value in scorer.score(pixels).items()})

    return [scorers[-1], *(renamed(scorer) for scorer in scorers[:-1] if paper)]


def _measures(encoder: Encoder) -> PixelScorer:
    """As a build takes them, of pixels that are decoded for the encoder."""
    from preprocess import measure_for_build
    from search import PixelScorer

    return PixelScorer(encoder.side, lambda pixels: measure_for_build(pixels).scores)


def _fast(encoder: Encoder) -> PixelScorer:
    """CLIP-IQA by the encoder's vector of the whole photo, as a library has it."""
    from search import PixelScorer, load_axes

    axes = load_axes(encoder)

    def score(pixels: RgbImage) -> Mapping[str, float]:
        values = axes.scores(encoder.encode_images([encoder.prepare(pixels)]))[0]
        return {f"fast {name}": float(value) for name, value in zip(axes.names(), values, strict=True)}

    return PixelScorer(encoder.side, score)


def _table(figures: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from .output import SHOWN_FAILURES, console, plain
    from .scoring import NOTE

    out = console()
    out.print(
        plain(f"{figures['photos']:,} photos, encoder {figures['encoder']!r}. The error is that of SRCC; smaller differences mean little.")
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("score")
    for name in ("SRCC", "PLCC", "KRCC", "error"):
        table.add_column(name, justify="right")
    for name, row in figures["axes"].items():
        table.add_row(name, *("" if row[key] is None else f"{row[key]:.3f}" for key in ("srcc", "plcc", "krcc", "error")))
    out.print(table)
    out.print("Published on BIQ2021: " + ", ".join(f"{name} {value:.3f}" for name, value in figures["published"].items()) + " (SRCC).")
    out.print(NOTE)
    for message in list(figures["failed"].values())[:SHOWN_FAILURES]:
        out.print(f"Left out: {plain(message)}")
