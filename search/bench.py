"""How fast an encoder is on this machine, measured once and used from then on: `bench.json` in the model's folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from preprocess import WeightsError, writing_models

from .encode import ENCODERS, EncoderOptions, load_encoder

FORMAT = 1
MOST_SECONDS = 600
"""After which a measurement is given up: a few hundred photos of the slowest models."""


@dataclass(frozen=True, slots=True)
class Speed:
    """One precision at its best setting.

    `part` photos are encoded at a time by each of `threads`, which each use `intra` threads for a photo's layers; `batch` photos are handed
    over at once. Loading is in seconds, with the first run; `text_ms` is one query, tower loaded; `peak_mb` is the process's resident memory.
    """

    precision: str
    part: int
    threads: int
    intra: int
    batch: int
    images_s: float
    text_ms: float
    load_image_s: float
    load_text_s: float
    peak_mb: float
    tried: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured of an encoder, on which machine."""

    name: str
    machine: dict[str, str | int]
    speeds: tuple[Speed, ...]

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)


def bench_model(name: str, options: EncoderOptions, on_progress: Callable[[str], None] = lambda _step: None) -> Bench:
    """Measure an encoder in every precision that it has here, store the result, and give it.

    Each measurement is a process of its own, so that neither memory nor threads of another count. `options.threads` limits the threads.

    Raises:
        UnknownName: no encoder has this name.
        WeightsError: its files are missing or damaged, measuring it fails or takes longer than ten minutes, or
            the result cannot be written.
        StorageFull: the disk took no more.
    """
    from .model import Model

    folder: Path = load_encoder(name, EncoderOptions(options.models, runtime="onnx")).folder  # type: ignore[attr-defined]
    model = Model.read(folder)
    cores = options.threads or os.cpu_count() or 1
    speeds = []
    for precision in model.precisions:
        task = {"folder": str(folder), "precision": precision, "cores": cores}
        on_progress(f"{precision}: settings")
        tried = _child("settings", task)
        best = max(tried, key=lambda row: row["images_s"])
        on_progress(f"{precision}: memory, loading, words")
        rest = _child("footprint", task | {key: best[key] for key in ("part", "threads", "intra")})
        share = best["part"] * best["threads"]
        setting = {"part": best["part"], "threads": best["threads"], "intra": best["intra"], "batch": share * -(-64 // share)}
        speeds.append(Speed(precision, **setting, images_s=best["images_s"], **rest, tried=tuple(tried)))
    bench = Bench(name, machine(), tuple(speeds))
    _write(bench_file(folder, options.models), bench)
    return bench


def _child(measurement: str, task: dict[str, Any]) -> Any:
    import subprocess  # only here: every encoder reads what was measured

    command = [sys.executable, "-c", "import sys; sys.path[:] = sys.argv[2:]; from search._bench_child import main; main(sys.argv[1])"]
    try:
        done = subprocess.run(  # noqa: S603 (this Python, with this code)
            [*command, measurement, *sys.path], input=json.dumps(task), capture_output=True, text=True, timeout=MOST_SECONDS, check=True
        )
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        last = reason[-1] if reason else "no reason given"
        raise WeightsError(
            f"{task['folder']} cannot be measured: {last}. Check the model: pellucid models verify {Path(task['folder']).name}"
        ) from error


def bench_file(folder: Path, models: Path | None) -> Path | None:
    """Where a model's measurement is: in its folder, or, for those that ship with Pellucid, in the folder of models."""
    if folder.name in ENCODERS:
        return models / f"{folder.name}.bench.json" if models is not None else None
    return folder / "bench.json"


def _write(file: Path | None, bench: Bench) -> None:
    if file is None:
        return
    with writing_models(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
        fresh.write_text(json.dumps({"format": FORMAT} | bench.as_dict(), indent=1) + "\n", encoding="utf-8")
        fresh.replace(file)


def read_settings(file: Path | None, precision: str) -> dict[str, int]:
    """The settings `part`, `threads`, `intra` and `batch` that were best for a precision on this machine; none where nothing was measured,
    where it was on another machine, or where the file is damaged."""
    if file is None or not file.is_file():
        return {}
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT or facts["machine"] != machine():
            return {}
        row = next(row for row in facts["speeds"] if row["precision"] == precision)
        settings = {key: row[key] for key in ("part", "threads", "intra", "batch")}
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return {}
    return settings if all(type(value) is int and 0 < value <= 4096 for value in settings.values()) else {}


def machine() -> dict[str, str | int]:
    """What a measurement is valid for: the processor's name and how many cores there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux
        import platform

        name = platform.processor() or platform.machine()
    return {"cpu": name, "cores": os.cpu_count() or 1}
