"""`pellucid eval`: an encoder, or the dehazers, on a folder with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import EncoderOption, JsonOption, MegapixelsOption

evaluate_app = typer.Typer(help="Measure an encoder or the dehazers on a folder with known answers.", no_args_is_help=True)


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


@evaluate_app.command()
def dehaze(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="hazy/ and clear/ or gt/, as in RESIDE SOTS: 1400_3.png belongs to 1400.png.")
    ],
    method: Annotated[list[str] | None, typer.Option("--method", metavar="NAME", help="Only these.", show_default="all")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many pairs, evenly spread.", show_default="all")] = None,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """PSNR, SSIM, CIEDE2000 and seconds of each dehazer, against clear photos of the same views."""
    from preprocess import evaluate_dehazers, find_pairs

    from .dehaze_output import figures_dict, figures_table
    from .output import count_bar, print_json, quiet_decoders
    from .settings import load_settings
    from .wiring import limits_of

    pairs = find_pairs(folder.expanduser(), limit)
    limits = limits_of(load_settings(max_megapixels=max_megapixels))
    with quiet_decoders(), count_bar("measuring", not as_json) as move:
        figures = evaluate_dehazers(pairs, method, limits, move)
    print_json(figures_dict(figures)) if as_json else figures_table(figures)


def _figures(function: Any, folder: Path, encoder: str | None, as_json: bool) -> None:
    from .health import print_facts
    from .output import print_json, quiet_decoders
    from .wiring import lone_encoder

    with quiet_decoders():
        figures = function(folder, lone_encoder(encoder))
    print_json(figures) if as_json else print_facts(figures)
