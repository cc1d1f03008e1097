"""The process of one job as the service sees it: started, listened to, interrupted, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..settings import Settings

COMMAND = (sys.executable, "-P", "-c", "from api.service.job_child import main; main()")
"""`-P` and `-c`: the current folder is no place to import from."""
_MOST_BYTES = 32_000_000  # of a message; an outcome with a million failures is cut by the child


def settings_variables(settings: Settings) -> dict[str, str]:
    """The settings as variables of an environment, so that another process has the very same ones, whatever its command line."""
    variables = {}
    for name, value in settings.model_dump(mode="json").items():
        if value is not None and value != "":
            variables[f"PELLUCID_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
    return variables


class JobProcess:
    """A child that gets its request as a line on its standard input, and answers with JSON lines. It ends when that input does.

    Raises:
        OSError: the system starts no more processes.
    """

    def __init__(self, request: dict[str, Any], variables: dict[str, str], command: Sequence[str] = COMMAND) -> None:
        self.process = subprocess.Popen(  # noqa: S603 (our own command)
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **variables},
            start_new_session=True,  # a Ctrl-C in the service's terminal is the service's to pass on
        )  # fmt: skip
        self._said: deque[str] = deque(maxlen=20)
        self._listener = threading.Thread(target=self._listen, name="job-errors", daemon=True)
        self._listener.start()
        with contextlib.suppress(OSError):  # it has ended already: `code` says how
            if self.process.stdin is not None:
                self.process.stdin.write(json.dumps(request).encode() + b"\n")
                self.process.stdin.flush()

    def _listen(self) -> None:
        stream = self.process.stderr
        while stream is not None and (line := stream.readline(4_000)):
            if text := line.decode("utf-8", "replace").strip():
                self._said.append(text)

    def messages(self) -> Iterator[dict[str, Any]]:
        """What it says, until it says no more; lines that are none of ours are passed over."""
        stream = self.process.stdout
        while stream is not None and (line := stream.readline(_MOST_BYTES)):
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                yield message

    def interrupt(self) -> None:
        """Ask it to end at its next safe point."""
        with contextlib.suppress(OSError):
            if os.name == "posix":
                self.process.send_signal(signal.SIGINT)
            elif self.process.stdin is not None:
                self.process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(OSError):
            self.process.kill()

    def code(self) -> int:
        """Its exit code, when it has ended; below zero the signal that ended it."""
        code = self.process.wait()
        self._listener.join(5)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        return code

    def reason(self, code: int) -> str:
        """Why it ended without a word, for people."""
        if code < 0:
            name = signal.Signals(-code).name if -code in signal.Signals.__members__.values() else f"signal {-code}"
            memory = " The system does that where memory runs out." if name == "SIGKILL" else ""
            told = f"was ended by {name}.{memory}"
        else:
            told = f"ended with code {code} before its work was done."
        last = f" It last said: {self._said[-1][:500]}" if self._said else ""
        return f"The process of this job {told} What it had written before is kept.{last}"
