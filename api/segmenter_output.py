"""Facts about segmenters, and how the command line shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preprocess import InputError, WeightsError, choose

from .model_output import faults_of
from .output import console, megabytes, plain

_SHOWN_LABELS = 6


def installed_folders(models: Path) -> dict[str, Path]:
    """Folders of the built-in segmenter and of those that were added, by name."""
    from annotate import builtin_folder, segmenter_folders

    builtin = builtin_folder()
    ships = {"builtin": builtin} if (builtin / "weights.json").is_file() else {}
    return ships | {folder.name: folder for folder in segmenter_folders(models)}


def segmenter_facts(folder: Path) -> dict[str, Any]:
    """What a segmenter's folder says of itself; for one that does not read, what is wrong with it."""
    from annotate import SegmenterFacts

    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    facts: dict[str, Any] = {"name": folder.name, "path": str(folder), "bytes": size}
    try:
        read = SegmenterFacts.read(folder)
    except WeightsError as error:
        return facts | {"error": str(error)}
    return facts | {
        "source": read.source or "ships with Pellucid", "arch": read.arch, "labels": list(read.labels), "short": read.frame.short, "licence": read.licence,
        "agreement": read.measured.get("agreement"),
    }  # fmt: skip


def list_facts(models: Path) -> dict[str, Any]:
    """Segmenters that are here."""
    return {"folder": str(models), "segmenters": [segmenter_facts(folder) for folder in installed_folders(models).values()]}


def verify_facts(models: Path, name: str | None) -> dict[str, Any]:
    """What is wrong with the segmenter called `name`, or with each of them.

    Raises:
        UnknownName: no segmenter has this name.
    """
    from annotate import find_segmenter_faults

    return {"folder": str(models), "segmenters": faults_of(installed_folders(models), name, "segmenter", find_segmenter_faults)}


def run_remove(models: Path, name: str) -> dict[str, Any]:
    """Remove the files of a segmenter that was added; says which and how many bytes.

    Raises:
        UnknownName: no segmenter has this name.
        InputError: it ships with Pellucid.
        WeightsError: another process is adding or removing it, or its files cannot be removed.
    """
    from annotate import SEGMENTERS
    from preprocess import remove_model

    from .wiring import folder_bytes

    folder = choose(installed_folders(models), name, "segmenter")
    if name in SEGMENTERS:
        raise InputError(f"The segmenter {name!r} ships with Pellucid and stays. Remove one that was added: pellucid segmenters list")
    size = 0 if folder.is_symlink() else folder_bytes(folder)
    remove_model(folder)
    return {"segmenter": name, "folder": str(folder), "bytes": size}


def print_added(facts: Mapping[str, Any]) -> None:
    """What was added and how to use it."""
    out = console()
    out.print(
        plain(
            f"Added {facts['name']}: {facts['arch']}, {len(facts['labels'])} labels, {megabytes(facts['bytes'])}, licence {facts['licence']}, in "
            f"{facts['path']}"
        )
    )
    out.print(f"Use it: pellucid index --regions {facts['name']}")


def print_segmenters(facts: Mapping[str, Any]) -> None:
    """A table of what is here."""
    from rich import box
    from rich.table import Table

    out = console()
    table = Table("name", "network", "labels", "short side", "size", "licence", "source", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in facts["segmenters"]:
        if "error" in row:
            table.add_row(plain(row["name"]), "damaged", "", "", megabytes(row["bytes"]), "", "")
            continue
        more = len(row["labels"]) - _SHOWN_LABELS
        labels = ", ".join(row["labels"][:_SHOWN_LABELS]) + (f" and {more} more" if more > 0 else "")
        cells = (row["name"], row["arch"], labels, str(row["short"] or "any"), megabytes(row["bytes"]), row["licence"], row["source"])
        table.add_row(*map(plain, cells))
    out.print(table)
    out.print(f"Segmenters that are added lie in {plain(facts['folder'])}")
    out.print("Add one: pellucid segmenters add SOURCE")


def print_removed(outcome: Mapping[str, Any]) -> None:
    """What was removed."""
    console().print(plain(f"Removed {outcome['folder']}: {megabytes(outcome['bytes'])}. Regions that it has found stay."))
