"""Runs commands in forked children that are killed at one of their writes, so that dozens of them pay for the imports once. Reads a line of JSON for each: the `arguments`, at which
table write (`at`, from 1; 0 is none) and `when` (in it, or after it) it is killed, how many seconds each write waits (`slow`), and a file for what it prints (`out`). Answers with
the child's number and, after one more line, with its exit code."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import faiss  # noqa: F401
import lancedb  # noqa: F401
import pyarrow.compute  # noqa: F401

import api.scoring
import search.tag_run
from api.cli import main
from indexer import build  # noqa: F401
from search import ENCODERS, PixelScorer, scoring
from search._lance import Tables

warnings.simplefilter("ignore")  # LanceDB warns of forks; a child that hangs is killed all the same


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Writes:
    """Counts the writes to tables, and kills the process at one of them."""

    def __init__(self, at: int, when: str, slow: float) -> None:
        self.at, self.when, self.slow, self.done = at, when, slow, 0
        for name in ("append", "upsert", "delete", "rewrite"):
            setattr(Tables, name, self.counted(getattr(Tables, name)))

    def counted(self, method: Any) -> Any:
        def write(*arguments: Any, **options: Any) -> Any:
            self.done += 1
            time.sleep(self.slow)
            if self.done == self.at and self.when == "in":  # a write takes 2 to 10 ms here
                threading.Timer(0.002, die).start()
            result = method(*arguments, **options)
            if self.done == self.at:
                die()
            return result

        return write


def run(order: dict[str, Any]) -> int:
    """The command's exit code."""
    Writes(order["at"], order["when"], order["slow"])
    out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = ["pellucid", *order["arguments"]]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def serve() -> None:
    make_encoder = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))["MeanColour"]
    ENCODERS["mean-colour"] = lambda _options: make_encoder()  # type: ignore[index]
    search.tag_run.AT_ONCE, search.tag_run.WRITE_PHOTOS = 50, 150
    scoring._ROWS, scoring._SAVED_PHOTOS = 150, 12
    rater = PixelScorer(16, lambda pixels: {"rating": float(pixels.mean()) / 255}, {"rating": "rating-test"})
    api.scoring.pixel_scorers = lambda *_given, **_named: ([rater], "none")
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                code = run(order)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                code = 99
            os._exit(code)
        print(child, flush=True)
        sys.stdin.readline()  # until then the number is not given to another process
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


serve()
