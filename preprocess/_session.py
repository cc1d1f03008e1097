"""Graphs that onnxruntime runs, opened in one way by all that have any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from .errors import WeightsError

onnxruntime.disable_telemetry_events()  # builds for Windows do not look at the variable that preprocess sets


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How a graph is run.

    `threads` share out its layers. Without `prepack` weights in a file of their own stay mapped into memory, which is slower to run and quicker to load.
    Without `hoard` memory goes back when a call ends: for inputs of many sizes, of the largest of which it would be kept for every thread that called.
    """

    threads: int = 1
    prepack: bool = True
    hoard: bool = True


def open_session(graph: Path | bytes, options: GraphOptions, what: object, remedy: str) -> Any:
    """A graph, loaded. The session may be shared by threads.

    Raises:
        WeightsError: it does not load; `what` names it in the message, `remedy` ends it.
    """
    onnxruntime.set_default_logger_severity(3)
    given = onnxruntime.SessionOptions()
    given.log_severity_level = 3
    given.intra_op_num_threads, given.inter_op_num_threads = options.threads, 1
    given.enable_cpu_mem_arena = given.enable_mem_pattern = options.hoard
    given.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning would steal the cores that decode
    if not options.prepack:
        given.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return onnxruntime.InferenceSession(
            str(graph) if isinstance(graph, Path) else graph, given, providers=["CPUExecutionProvider"]
        )  # fmt: skip
    except Exception as error:  # the runtime's own errors have no common parent
        raise WeightsError(f"{what} does not load: {error}. {remedy}") from error
