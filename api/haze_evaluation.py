"""`pellucid eval haze` and `pellucid eval haze-retrieval`: whether haze is told from clear air, and whether removing it helps a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .evaluation import evaluate_app
from .options import EncoderOption, JsonOption, MegapixelsOption

if TYPE_CHECKING:
    from preprocess import Dehazer

MethodOption = Annotated[str, typer.Option("--method", metavar="NAME", help="The dehazer behind the gate; auto is that of `index`.")]
PresetOption = Annotated[str, typer.Option("--preset", metavar="NAME", help="Its settings, where a method is named.")]


@evaluate_app.command()
def haze(
    hazy: Annotated[
        list[str], typer.Option("--hazy", metavar="PATH", help="Hazy photos: a folder, or a pattern in quotes. May be repeated.")
    ],
    clear: Annotated[list[str], typer.Option("--clear", metavar="PATH", help="Clear photos. May be repeated.")],
    other: Annotated[list[str] | None, typer.Option("--other", metavar="PATH", help="Photos that are neither. May be repeated.")] = None,
    method: MethodOption = "auto",
    preset: PresetOption = "default",
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """How well the haze density tells hazy photos from clear ones, and how many the gate dehazes."""
    from preprocess import Gate, evaluate_haze, find_sources

    from .output import count_bar, print_json, quiet_decoders
    from .settings import load_settings
    from .wiring import limits_of

    sources = find_sources(hazy=hazy, clear=clear, other=other or ())
    limits = limits_of(load_settings(max_megapixels=max_megapixels))
    with quiet_decoders(), count_bar("judging", not as_json) as move:
        figures = evaluate_haze(sources, Gate(_dehazer(method, preset)), limits, move)
    print_json(figures) if as_json else _haze_table(figures)


@evaluate_app.command("haze-retrieval")
def haze_retrieval(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos and a captions.jsonl with image and captions.")],
    encoder: EncoderOption = None,
    strength: Annotated[
        list[float] | None,
        typer.Option(
            "--strength", metavar="T", help="Mean transmission of the haze, between 0 and 1. May be repeated.", show_default="0.6 0.35 0.2"
        ),
    ] = None,
    method: MethodOption = "auto",
    preset: PresetOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Recall at 10 in haze that is added to the photos: as they are, always dehazed, and through the gate."""
    from search import STRENGTHS, evaluate_haze_retrieval

    from .output import count_bar, print_json, quiet_decoders
    from .wiring import lone_encoder

    with quiet_decoders(), count_bar("hazing and dehazing", not as_json) as move:
        figures = evaluate_haze_retrieval(folder, lone_encoder(encoder), _dehazer(method, preset), strength or STRENGTHS, move)
    print_json(figures) if as_json else _retrieval_tables(figures)


def _dehazer(method: str, preset: str) -> Dehazer:
    from preprocess import InputError, load_dehazer, load_rule

    if method == "auto" and preset != "default":
        raise InputError(
            f"--preset {preset} needs a method: --method dark-channel --preset {preset}. Without one, the dehazer is that of `index`."
        )
    rule = load_rule("auto")
    return rule.dehazer if method == "auto" and rule.dehazer is not None else load_dehazer(method, preset)


def _haze_table(figures: dict[str, Any]) -> None:
    from .output import SHOWN_FAILURES, console, plain

    out = console()
    out.print(f"AUC over all: {figures['auc']:.3f}. Threshold: {figures['threshold']}. Dehazer: {figures['dehazer']}.")
    rows = [*figures["sources"], *({"name": "all", "kind": kind, "auc": None} | shares for kind, shares in figures["all"].items())]
    cells = [
        (plain(row["name"]), row["kind"], str(row["photos"]), _number(row["auc"], ".3f"), _number(row["median"], ".2f"), _number(row["over"], ".1%"),
         _number(row["kept"], ".1%"))
        for row in rows
    ]  # fmt: skip
    _print_table(("photos", "kind", "count", "AUC", "median", "over", "dehazed"), cells, left=2)
    for message in list(figures["failed"].values())[:SHOWN_FAILURES]:
        out.print(f"Left out: {plain(message)}")


def _retrieval_tables(figures: dict[str, Any]) -> None:
    from .output import console, plain

    out = console()
    out.print(
        plain(
            f"{figures['photos']:,} photos, {figures['captions']:,} captions, encoder {figures['encoder']!r}, dehazer {figures['dehazer']}."
        )
    )
    out.print(
        "Recall at 10 of finding a photo by its caption, in %; the gain of both over raw with its 95% interval. --json has the intervals of all."
    )
    ways = tuple(figures["conditions"][0]["recall_at_10"])
    alone = [(_air(row["mean_t"]), f"{row['kept']:.0%}", *_recalls(row, ways)) for row in figures["conditions"]]
    _print_table(("all photos in", "dehazed", *ways, "both - raw"), alone, left=1)
    mixed = [(f"{_air(row['mean_t'])}: {half} half", *_recalls(row[half], ways)) for row in figures["mixed"] for half in ("hazy", "clear")]
    _print_table(("half of them in", *ways, "both - raw"), mixed, left=1)


def _air(mean_t: float) -> str:
    return "clear" if mean_t == 1 else f"haze, t {mean_t:g}"


def _recalls(row: dict[str, Any], ways: tuple[str, ...]) -> tuple[str, ...]:
    gain, least, most = (100 * number for number in row["gain"]["both"])
    return (*(f"{100 * row['recall_at_10'][way][0]:.1f}" for way in ways), f"{gain:+.1f} ({least:+.1f} to {most:+.1f})")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from .output import console

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(head):
        table.add_column(name, justify="left" if at < left else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)
