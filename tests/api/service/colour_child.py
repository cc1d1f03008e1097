"""The process of a job, with the tests' tiny encoder and maker of regions known to it, and builds that take their time. `served.py` and tests name it as the command."""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import indexer
from search import ENCODERS

made = runpy.run_path(str(Path(__file__).parents[2] / "conftest.py"))
pause = float(os.environ.get("COLOUR_CHILD_PAUSE_S", "0"))
sys.modules[indexer.build.__module__].COMMIT_PHOTOS = 4  # type: ignore[attr-defined]


class Slow(made["MeanColour"]):  # type: ignore[misc]
    def encode_images(self, prepared: Any) -> Any:
        time.sleep(pause)
        return super().encode_images(prepared)


ENCODERS["mean-colour"] = lambda _options: Slow()  # type: ignore[index]

from api.service.job_child import main  # noqa: E402

main()
