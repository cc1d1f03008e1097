"""`pellucid eval verdicts`: whether a search knows that it has found nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .evaluation import evaluate_app
from .options import EncoderOption, JsonOption

WHAT = {
    "photo_removed": "the captioned photo was removed",
    "alike_removed": "every photo with a word of the caption was removed",
    "class_removed": "the class was removed",
    "class_absent": "a library of a tenth of the classes",
    "hits": "the first ten hits of each class, one by one",
}


@evaluate_app.command()
def verdicts(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos with captions.jsonl, or with classes as for zeroshot.")],
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether queries with an answer are told from queries whose answer was removed."""
    from search import evaluate_verdicts

    from .output import count_bar, print_json, quiet_decoders
    from .wiring import lone_encoder

    with quiet_decoders(), count_bar("asking", not as_json) as move:
        facts = evaluate_verdicts(folder.expanduser(), lone_encoder(encoder), move)
    print_json(facts) if as_json else _table(facts)


def _table(facts: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from .output import console, plain

    out = console()
    out.print(
        f"{facts['queries']:,} queries, {facts['photos']:,} photos, encoder {plain(facts['encoder'])} (family {facts['family']}), "
        f"strictness {facts['strictness']}"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(
        ("against", "AUC", "at most", "of similarity", "calibration error", "F1", "F1 of strong", "best threshold's", "found", "false")
    ):
        table.add_column(name, justify="right" if at else "left")
    for name, words in WHAT.items():
        if name in facts:
            row = facts[name]
            bound = f"{row['auc_bound']:.3f}" if "auc_bound" in row else ""
            keys = ("auc_of_similarity", "calibration_error", "f1", "f1_of_strong", "f1_of_best_threshold", "found", "false")
            table.add_row(Text(words), f"{row['auc']:.3f}", bound, *(f"{row[key]:.3f}" for key in keys))
    out.print(table)
    out.print(
        "AUC and F1 are of the probability and of the default cut; beside them those of the similarity alone, its threshold chosen with hindsight."
    )
