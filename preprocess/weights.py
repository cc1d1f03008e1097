"""What all folders of weights have in common: `weights.json`, the sha256 of every file, and which kind of model it is."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError, WeightsError

FACTS = "weights.json"
MODEL_KINDS: Mapping[str, str] = {"encoder": "image.onnx", "segmenter": "segment.onnx"}
"""Kinds of models that lie in one folder side by side, and the file that one has whose `weights.json` does not read."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a model: the file, what is wrong, and what to do."""

    file: Path
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}. {self.remedy}"


def safe_name(given: str) -> str:
    """A name made of any other: safe as a folder's name, ASCII, empty only where nothing of it is ASCII."""
    plain = unicodedata.normalize("NFKD", given).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip(".-_")[:100]


def check_name(name: str, reserved: Collection[str], what: str) -> str:
    """The name, when it is safe as a folder's name on any system; `what` says what the reserved ones stand for.

    Raises:
        InputError: it is not, or it is reserved.
    """
    if name.lower() in reserved:
        raise InputError(f"{name!r} is {what}. Give another name: --name NAME")
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise InputError(
            f"{name!r} cannot name a model: up to 100 letters (a-z), digits, dots, dashes and underscores; a letter or digit first."
        )
    return name


def kind_of(folder: Path) -> str:
    """Which kind of model a folder holds: what `weights.json` says; where that cannot be read, what its graph says. An encoder where nothing does."""
    try:
        return str(dict(json.loads((folder / FACTS).read_text(encoding="utf-8"))).get("kind", "encoder"))
    except (OSError, ValueError, TypeError):
        return next((kind for kind, file in MODEL_KINDS.items() if (folder / file).is_file()), "encoder")


def folders_of(models: Path | None, kind: str) -> list[Path]:
    """Folders of the models of a kind, by name; those whose names begin with a dot are being made."""
    if models is None or not models.is_dir():
        return []
    folders = [file.parent for file in models.glob(f"*/{FACTS}") if not file.parent.name.startswith(".")]
    return sorted(folder for folder in folders if kind_of(folder) == kind)


def write_weights_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Replace a folder's `weights.json` in one step."""
    fresh = folder / f"{FACTS}.new"
    fresh.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(folder / FACTS)


def as_tuples(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON has them, with a tuple for each list: what the fields of our dataclasses hold."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}


def digest_of(file: Path) -> str:
    """Sha256 of a file, read in parts."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def wrong_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Names of files that are missing or whose sha256 is not that in `files`; empty when all is well."""
    return [name for name, digest in files.items() if not (folder / name).is_file() or digest_of(folder / name) != digest]


def file_faults(folder: Path, files: Mapping[str, str], remedy: str) -> list[Fault]:
    """What is wrong with a folder's files: those that are missing, and those whose sha256 is not that in `files`."""
    return [
        Fault(folder / name, "has another sha256 than weights.json says" if (folder / name).is_file() else "is missing", remedy)
        for name in wrong_files(folder, files)
    ]


def check_file(file: Path, digest: str, remedy: str) -> Path:
    """The file, when its sha256 is `digest`.

    Raises:
        WeightsError: it is missing, cannot be read, or is another; `remedy` ends the message.
    """
    try:
        found = digest_of(file)
    except OSError as error:
        raise WeightsError(f"{file} is missing or cannot be read ({error.strerror}). {remedy}") from error
    if found != digest:
        raise WeightsError(f"{file} is damaged: its sha256 is not the one in {FACTS}. {remedy}")
    return file


def first_line(error: Exception) -> str:
    """What a library said, short enough for a message."""
    text = " ".join(str(error).split("\n", 1)[0].split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
