"""`pellucid eval segmentation`: how well a segmenter names what photos show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .evaluation import evaluate_app
from .options import JsonOption, MegapixelsOption


@evaluate_app.command()
def segmentation(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="images/NAME.jpg, masks/NAME.png of class numbers, and labels.txt.")],
    segmenter: Annotated[str, typer.Option("--segmenter", metavar="NAME", help="The built-in one, or one that was added.")] = "builtin",
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE|voc|camvid|cityscapes", help="What the numbers mean.", show_default="labels.json or labels.txt in DIR"
        ),
    ] = None,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Intersection over union of each class and category, and pixel accuracy, on photos whose masks are known."""
    from annotate import SegmenterOptions, evaluate_segmentation, find_labels, find_masked_photos, load_segmenter

    from .output import count_bar, print_json, quiet_decoders
    from .settings import load_settings
    from .wiring import limits_of

    settings, folder = load_settings(max_megapixels=max_megapixels), folder.expanduser()
    pairs, meaning = find_masked_photos(folder), find_labels(folder, labels)
    loaded = load_segmenter(segmenter, SegmenterOptions(models=settings.models.expanduser()))
    with quiet_decoders(), count_bar("segmenting", not as_json) as move:
        figures = evaluate_segmentation(pairs, meaning, loaded, limits_of(settings), move)
    print_json(figures) if as_json else _tables(figures)


def _tables(figures: dict[str, Any]) -> None:
    from .output import console, plain

    out = console()
    out.print(
        plain(f"{figures['photos']:,} photos, segmenter {figures['segmenter']}, pixel accuracy {_percent(figures['pixel_accuracy'])}.")
    )
    unknown = figures["unknown"]
    _table("class", figures["classes"], figures["miou"], unknown)
    if figures["categories"]:
        _table("category", figures["categories"], figures["category_miou"], ())
    if unknown:
        out.print(
            plain(
                f"The segmenter does not name {', '.join(unknown)}: left out of the means and of the accuracy. With 0 for them, mIoU is "
                f"{_percent(figures['miou_all'])}."
            )
        )


def _table(kind: str, rows: dict[str, float | None], mean: float | None, unknown: Any) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from .output import console, plain

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(kind)
    table.add_column("IoU", justify="right")
    for name, value in rows.items():
        table.add_row(Text(plain(name)), "not named" if name in unknown else _percent(value) if value is not None else "not there")
    table.add_section()
    table.add_row("mean", _percent(mean))
    console().print(table)


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f}%"
