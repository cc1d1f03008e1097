"""The process of one job from inside: one request in, JSON lines out, and an end at a safe point when it is asked to stop or the service is gone."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from preprocess import LibraryBusy, PellucidError

END_S = 60.0
"""Seconds that a child has for its safe point when the service is gone."""
MOST_ENTRIES = 1_000  # of a list or table in an outcome; how many there were is told
_TELL_S = 0.25
_PR_SET_PDEATHSIG = 1


class Teller:
    """Says how the work goes, on the service's end of the pipe. What is printed by others goes to standard error."""

    def __init__(self) -> None:
        self.out = os.dup(1)
        os.dup2(2, 1)
        self.last, self.stage, self.lock = 0.0, "", threading.Lock()

    def say(self, **message: Any) -> None:
        """One message; nobody may be listening any more."""
        data = memoryview(json.dumps(message, default=str).encode() + b"\n")
        with self.lock, contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self.out, data) :]

    def progress(self, stage: str, done: int, total: int | None = None) -> None:
        """How far the stage is, at most four times a second and whenever it begins or ends."""
        at = time.monotonic()
        if stage == self.stage and at - self.last < _TELL_S and done != total:
            return
        self.stage, self.last = stage, at
        self.say(progress={"stage": stage, "done": done, "total": total})

    def log(self, line: str) -> None:
        """A line for those who watch."""
        self.say(log=line)


def _behave(parent: int) -> None:
    """Be a good neighbour: work when nobody else does, go first where memory runs out, and stop when the service is gone."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    signal.signal(signal.SIGINT, _once)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    threading.Thread(target=_watch, args=(parent,), name="service", daemon=True).start()


def _once(_number: int, _frame: object) -> None:
    """The first interrupt ends the work at its safe point; more would only break that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _watch(parent: int) -> None:
    """Wait for the end of standard input, which is that of the service."""
    while os.read(0, 4096):
        pass
    if os.name == "posix" and os.getppid() != parent:
        logging.getLogger("pellucid.service").info("the service is gone; this job stops")
    signal.raise_signal(signal.SIGINT) if os.name != "posix" else os.kill(os.getpid(), signal.SIGINT)
    time.sleep(END_S)
    os._exit(1)


def capped(outcome: dict[str, Any]) -> dict[str, Any]:
    """The outcome with long lists and tables cut, and how long they were under `cut`."""
    from itertools import islice

    cut = {name: len(value) for name, value in outcome.items() if isinstance(value, (dict, list, tuple)) and len(value) > MOST_ENTRIES}
    short = {
        name: value if name not in cut else dict(islice(value.items(), MOST_ENTRIES)) if isinstance(value, dict) else value[:MOST_ENTRIES]
        for name, value in outcome.items()
    }
    return short | ({"cut": cut} if cut else {})


def _request() -> dict[str, Any]:
    """The first line of standard input, read byte by byte: no buffer may take what the watcher waits for."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    found: dict[str, Any] = json.loads(line)
    return found


def main() -> None:
    """Do what the request says."""
    teller = Teller()
    try:
        request = _request()
        _behave(request["parent"])
        from .job_work import WORK

        made = WORK[request["kind"]](request["options"], Path(request["place"]), Path(request["uploads"]), teller)
        ended = "interrupted" if made.interrupted else "finished"
        teller.say(ended=ended, outcome=capped(made.outcome), result=None if made.result is None else made.result.name)
    except KeyboardInterrupt:
        teller.say(ended="interrupted", outcome=None, result=None)
    except LibraryBusy as error:
        teller.say(ended="busy", error=str(error))
    except PellucidError as error:
        teller.say(ended="failed", error=str(error))
    except MemoryError:
        teller.say(ended="failed", error="The memory of this machine did not suffice. Ask for fewer photos at a time, with `where`.")
