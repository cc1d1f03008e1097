"""`pellucid eval tags`: how right tags are on photos with captions or classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .evaluation import evaluate_app
from .options import EncoderOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Mapping


@evaluate_app.command()
def tags(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Photos and a captions.jsonl; or a folder a class, photos.parquet with labels.txt, or n012345_label.jpg names.",
        ),
    ],
    vocabulary: Annotated[str, typer.Option("--vocabulary", metavar="NAME|FILE", help="Which words.")] = "photo",
    templates: Annotated[str, typer.Option("--templates", metavar="NAME", help="Sentences around the words.")] = "auto",
    precision: Annotated[
        float, typer.Option("--precision", metavar="P", help="The cut: only tags that are right with at least this chance.")
    ] = 0.5,
    most: Annotated[int, typer.Option("--most", metavar="N", help="At most so many tags a photo.")] = 20,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mean average precision of tags, and their precision at the cut beside the one that is expected."""
    from search import TagEvaluationOptions, TagOptions, evaluate_tags, load_vocabulary

    from .output import print_json, quiet_decoders
    from .wiring import lone_encoder

    options = TagEvaluationOptions(load_vocabulary(vocabulary), templates, TagOptions(precision, most))
    with quiet_decoders():
        figures = evaluate_tags(folder.expanduser(), lone_encoder(encoder), options)
    print_json(figures) if as_json else _print(figures)


def _print(figures: Mapping[str, Any]) -> None:
    from .output import console, plain

    out = console()
    out.print(
        plain(
            f"{figures['photos']:,} photos, encoder {figures['encoder']!r}, vocabulary {figures['vocabulary']!r}, templates {figures['templates']}; "
            f"{figures['tags']:,} tags that some photo has."
        )
    )
    out.print(
        f"Mean average precision: {figures['mean_average_precision']:.3f} of photos by tag ({figures['by_chance']:.3f} by chance), "
        f"{figures['mean_average_precision_of_photos']:.3f} of tags by photo."
    )
    if figures["precision"] is None:
        out.print(f"At the cut of {figures['cut']:g}, no tag is found of which it is known whether it is right. Try a lower --precision.")
        return
    out.print(
        f"At the cut of {figures['cut']:g}: {figures['precision']:.3f} ± {figures['standard_error']:.3f} of the tags are right, where "
        f"{figures['expected_precision']:.3f} were expected; {figures['tags_a_photo']:.1f} tags a photo, {figures['recall']:.1%} of the right ones."
    )
