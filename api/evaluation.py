"""`pellucid eval`: an encoder on a folder with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import EncoderOption, JsonOption

evaluate_app = typer.Typer(help="Measure an encoder on a folder with known answers.", no_args_is_help=True)


@evaluate_app.command()
def retrieval(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos and a captions.jsonl with image and captions.")],
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recall at 1, 5 and 10 in both directions."""
    from search import evaluate_retrieval

    _figures(evaluate_retrieval, folder, encoder, as_json)


@evaluate_app.command()
def zeroshot(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder a class, or photos.parquet with labels.txt, or n012345_label.jpg names.")
    ],
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Top-1 and top-5 of naming photos that the encoder was not trained to name."""
    from search import evaluate_zeroshot

    _figures(evaluate_zeroshot, folder, encoder, as_json)


def _figures(function: Any, folder: Path, encoder: str | None, as_json: bool) -> None:
    from .health import print_facts
    from .output import print_json, quiet_decoders
    from .wiring import lone_encoder

    with quiet_decoders():
        figures = function(folder, lone_encoder(encoder))
    print_json(figures) if as_json else print_facts(figures)
