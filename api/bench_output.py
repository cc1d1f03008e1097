"""How the command line shows what `pellucid models bench` measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import console, plain

if TYPE_CHECKING:
    from search import Bench


def print_bench(bench: Bench) -> None:
    """A line for each precision, at its best setting."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("precision", "images/s", "a query", "photos a part", "threads", "each on", "load images", "load words", "peak memory"):
        table.add_column(heading, justify="left" if heading == "precision" else "right")
    for speed in bench.speeds:
        table.add_row(
            speed.precision, f"{speed.images_s:,.1f}", f"{speed.text_ms:.1f} ms", str(speed.part), str(speed.threads),
            f"{speed.intra} {'core' if speed.intra == 1 else 'cores'}", f"{speed.load_image_s:.2f} s", f"{speed.load_text_s:.2f} s",
            f"{speed.peak_mb:,.0f} MB",
        )  # fmt: skip
    out = console()
    out.print(Text(f"{plain(bench.name)} on {plain(str(bench.machine['cpu']))}, {bench.machine['cores']} cores"))
    out.print(table)
    out.print("From now on these settings are used on this machine.")
