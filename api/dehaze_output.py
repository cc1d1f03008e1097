"""What `pellucid dehaze` and `pellucid eval dehaze` print."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .output import SHOWN_FAILURES, console, plain

if TYPE_CHECKING:
    from preprocess import DehazeFigures

    from .dehaze_report import DehazeReport


def dehaze_summary(report: DehazeReport) -> None:
    """Each photo where they are few, then how many there were of each kind, failures last."""
    out = console()
    for line in _lines(report):
        out.print(plain(line))


def _lines(report: DehazeReport) -> Iterator[str]:
    if report.found <= SHOWN_FAILURES:
        for outcome in report.outcomes:
            haze = "" if outcome.haze is None else f"haze {outcome.haze:.2f}, "
            what = f"{outcome.method}: {outcome.out}" if outcome in report.written else f"{outcome.reason}"
            yield f"{outcome.source}: {haze}{what}"
    counts = {"dehazed": len(report.written), "left alone": len(report.left), "skipped, made before": len(report.skipped),
              "failed": len(report.failed)}  # fmt: skip
    done = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    done = done or ("none finished before the interrupt" if report.interrupted else "nothing to do")
    yield f"{done}; {report.found:,} {'photo' if report.found == 1 else 'photos'} found."
    if report.left:
        reasons = Counter(outcome.reason for outcome in report.left)
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(5))
        yield f"Left alone: {why}. To dehaze every photo, name a method: --method dark-channel"
    if report.skipped:
        yield "What exists already was not made again; to make it anew: --force"
    if report.failed:
        yield f"{len(report.failed):,} {'file' if len(report.failed) == 1 else 'files'} could not be dehazed:"
        yield from (f"  {error}" for error in list(report.failed.values())[:SHOWN_FAILURES])
        if len(report.failed) > SHOWN_FAILURES:
            yield f"  ... and {len(report.failed) - SHOWN_FAILURES:,} more: --json names them all"
    if report.interrupted:
        yield "Interrupted. What was written is whole; run the same command to go on."


def figures_dict(figures: DehazeFigures) -> dict[str, Any]:
    """For JSON, which has no infinity: the PSNR of equal pictures is null."""
    from preprocess import PUBLISHED, PUBLISHED_ON

    rows = [{**asdict(row), "psnr": row.psnr if math.isfinite(row.psnr) else None} for row in figures.rows]
    published = [{"method": name, "psnr": psnr, "ssim": ssim, "on": PUBLISHED_ON} for name, (psnr, ssim) in PUBLISHED.items()]
    return {"pairs": figures.pairs, "measured": rows, "published": published}


def figures_table(figures: DehazeFigures) -> None:
    """Measured rows, and apart from them what others published."""
    from rich import box
    from rich.table import Table

    from preprocess import PUBLISHED, PUBLISHED_ON

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method")
    for name in ("PSNR", "SSIM", "CIEDE2000", "seconds"):
        table.add_column(name, justify="right")
    for row in figures.rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.4f}"
        table.add_row(row.method, f"{row.psnr:.2f}", f"{row.ssim:.4f}", f"{row.ciede2000:.2f}", seconds)
    table.add_section()
    for name, (psnr, ssim) in PUBLISHED.items():
        table.add_row(f"{name}, published", f"{psnr:.2f}", f"{ssim:.4f}", "", "")
    out = console()
    out.print(
        f"Measured here on {figures.pairs:,} {'pair' if figures.pairs == 1 else 'pairs'}; the last rows were published for {PUBLISHED_ON}."
    )
    out.print(table)
