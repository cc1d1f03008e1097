"""Runs commands in forked children that are killed at one of their file operations, so that many of them pay for the imports once. Reads a line of JSON for each: the `arguments`,
at which operation (`at`, from 1; 0 is none) and `how` (before, half or after it) it is killed; half, only files count that are opened below `root`. Answers with the exit code and the number of operations of a child that was not killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import lancedb  # noqa: F401
import pyarrow.compute  # noqa: F401

import indexer  # noqa: F401
from api.cli import main

warnings.simplefilter("ignore")  # LanceDB warns of forks; a child that hangs is killed all the same


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Operations:
    """Counts what is written, and kills the process at one of it: a file that is opened to be written, moved, linked or removed."""

    def __init__(self, at: int, how: str, root: str) -> None:
        self.at, self.how, self.root, self.done = at, how, root, 0
        for name in ("open", "replace", "hardlink_to", "unlink"):
            setattr(Path, name, self.counted(name, getattr(Path, name)))
        os.fsync = lambda _file: None  # what was written outlives the process, though not the power

    def counted(self, name: str, method: Any) -> Any:
        def operate(path: Path, *given: Any, **named: Any) -> Any:
            mode = (given[0] if given else named.get("mode", "r")) if name == "open" else "w"
            if path.name.endswith("lock") or not set(str(mode)) & set("wxa"):
                return method(path, *given, **named)
            if self.how == "half" and not (name == "open" and path.is_relative_to(self.root)):
                return method(path, *given, **named)
            self.done += 1
            if self.done == self.at and self.how == "before":
                die()
            result = method(path, *given, **named)
            if self.done == self.at:
                if self.how == "half":
                    result.write(b"<x:xmpmeta")
                    result.flush()
                die()
            return result

        return operate


def run(order: dict[str, Any], answer: int) -> int:
    operations = Operations(order["at"], order["how"], order["root"])
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    sys.argv = ["pellucid", *order["arguments"]]
    try:
        main()
    except SystemExit as ended:
        os.write(answer, b"%d" % operations.done)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 99


def serve() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        done, answer = os.pipe()
        child = os.fork()
        if child == 0:
            os._exit(run(order, answer))
        os.close(answer)
        with os.fdopen(done, "rb") as stream:
            operations = int(stream.read() or 0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), operations, flush=True)


serve()
