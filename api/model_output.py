"""Facts about models, and how the command line shows them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from preprocess import InputError, WeightsError, choose

from .output import console, megabytes, plain

if TYPE_CHECKING:
    from search import Terms

T = TypeVar("T", bound=str)


def installed_folders(models: Path) -> dict[str, Path]:
    """Folders of the built-in model and of those that were added, by name."""
    from search import model_folders

    return {"builtin": Path(str(files("search") / "builtin"))} | {folder.name: folder for folder in model_folders(models)}


def added_facts(folder: Path) -> dict[str, Any]:
    """What a model folder says of itself; for one that does not read, what is wrong with it."""
    from search import Model

    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    facts: dict[str, Any] = {"name": folder.name, "path": str(folder), "bytes": size}
    try:
        model = Model.read(folder)
    except WeightsError as error:
        return facts | {"error": str(error)}
    precisions = [model.precision] + (["int8"] if "image.int8.onnx" in model.files and model.precision != "int8" else [])
    return facts | {
        "source": model.source or "ships with Pellucid", "arch": model.arch, "dim": model.dim, "side": model.image.side,
        "precisions": precisions, "torch": "model.safetensors" in model.files, "licence": model.licence,
    }  # fmt: skip


def list_facts(models: Path) -> dict[str, Any]:
    """Models that are here, and the catalogue."""
    from search import CATALOGUE

    here = [added_facts(folder) for folder in installed_folders(models).values()]
    sources = {facts.get("source") for facts in here}
    rows = [row.as_dict() | {"added": row.source in sources or bool(row.ready and row.ready in sources)} for row in CATALOGUE]
    return {"folder": str(models), "models": here, "recommended": rows}


def verify_facts(models: Path, name: str | None) -> dict[str, Any]:
    """What is wrong with the model called `name`, or with each of them.

    Raises:
        UnknownName: no model has this name.
    """
    from search import find_faults

    return {"folder": str(models), "models": faults_of(installed_folders(models), name, "model", find_faults)}


def faults_of(here: Mapping[str, Path], name: str | None, what: str, find: Callable[[Path], Sequence[Any]]) -> list[dict[str, Any]]:
    """For JSON: the faults that `find` sees in the folder called `name`, or in each of those that are here; `what` they are is for messages.

    Raises:
        UnknownName: nothing has this name.
    """
    wanted = here if name is None else {name: choose(here, name, what)}
    return [
        {
            "name": known,
            "path": str(folder),
            "faults": [{"file": str(fault.file), "what": fault.what, "remedy": fault.remedy} for fault in find(folder)],
        }
        for known, folder in wanted.items()
    ]


def one_of(value: str, known: Sequence[T], option: str) -> T:
    """`value`, when it is one of those known.

    Raises:
        InputError: it is not.
    """
    found = next((entry for entry in known if entry == value), None)
    if found is None:
        raise InputError(f"{option} is {value!r}; it may be {' or '.join(known)}.")
    return found


def ask_consent(given: bool, pause: Callable[[], None]) -> Callable[[Terms], bool]:
    """Shows a source's terms; whether research-only ones are accepted, by the option or by an answer on the terminal."""

    def consent(terms: Terms) -> bool:
        pause()
        console(stderr=True).print(plain(str(terms)))
        if not terms.research_only or given:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        import typer

        return typer.confirm("Do you accept these terms?", err=True)

    return consent


def _silent(_step: str, _share: float | None = None) -> None:
    pass


def _nothing() -> None:
    pass


@contextlib.contextmanager
def step_bar(shown: bool) -> Iterator[tuple[Callable[[str, float | None], None], Callable[[], None]]]:
    """A function that shows a step and its share, and one that makes room for a question. On a terminal a bar, elsewhere a line a step."""
    out = console(stderr=True)
    if not shown:
        yield _silent, _nothing
        return
    if not out.is_terminal:
        said: list[str] = []

        def line(step: str, _share: float | None = None) -> None:
            if step not in said:
                said.append(step)
                out.print(plain(step))

        yield line, _nothing
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    progress = Progress(*columns, console=out, transient=True)
    task = progress.add_task("", total=None)

    def move(step: str, share: float | None = None) -> None:
        progress.start()
        progress.update(task, description=plain(step), total=None if share is None else 1.0, completed=share or 0.0)

    try:
        yield move, progress.stop
    finally:
        progress.stop()


def print_added(facts: Mapping[str, Any]) -> None:
    """What was added and how to use it."""
    out = console()
    out.print(
        f"Added {facts['name']}: dimension {facts['dim']}, {megabytes(facts['bytes'])}, licence {plain(facts['licence'])}, in {facts['path']}"
    )
    out.print(f"Use it: pellucid index --encoder {facts['name']}")


def print_models(facts: Mapping[str, Any]) -> None:
    """Two tables: what is here, and what is recommended."""
    from rich import box
    from rich.table import Table

    out = console()
    here = Table("name", "dim", "precision", "size", "licence", "source", "folder", box=box.SIMPLE_HEAD, pad_edge=False)
    for model in facts["models"]:
        if "error" in model:
            here.add_row(plain(model["name"]), "", "damaged", megabytes(model["bytes"]), "", "", plain(model["path"]))
            continue
        kinds = ", ".join(model["precisions"]) + (", torch" if model["torch"] else "")
        cells = (model["name"], str(model["dim"]), kinds, megabytes(model["bytes"]), model["licence"], model["source"], model["path"])
        here.add_row(*map(plain, cells))
    out.print(here)
    out.print(f"Models that are added lie in {plain(facts['folder'])}")
    table = Table("recommended", "ImageNet", "COCO", "size", "dim", "languages", "licence", "for whom", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in facts["recommended"]:
        licence = row["licence"] + (", research only" if row["research_only"] else "")
        table.add_row(
            row["source"], _percent(row["imagenet"]), _percent(row["coco"]), f"{row['megabytes']:,.0f} MB", str(row["dim"]), row["languages"],
            licence, ("added: " if row["added"] else "") + row["for_whom"],
        )  # fmt: skip
    out.print(table)
    out.print(
        "ImageNet: zero-shot top-1. COCO: text-to-image recall at 1. Sizes are of fp32 files. Each figure's source: --json, or docs/catalogue.md"
    )
    out.print("Add one: pellucid models add SOURCE")


def print_verified(facts: Mapping[str, Any]) -> None:
    """One line a model that is well, one line a fault of the others."""
    out = console()
    for model in facts["models"]:
        if not model["faults"]:
            out.print(f"{plain(model['name'])}: whole, and it answers.")
        for fault in model["faults"]:
            out.print(plain(f"{model['name']}: {fault['file']}: {fault['what']}. {fault['remedy']}"))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}%"
