"""A service in a process of its own, to be killed: `served.py LIBRARY ROOT`. Says its port."""

from __future__ import annotations

import os
import runpy
import socket
import sys
from pathlib import Path

import uvicorn

from api.service import create_app
from api.settings import load_settings
from search import ENCODERS

made = runpy.run_path(str(Path(__file__).parents[2] / "conftest.py"))
ENCODERS["mean-colour"] = lambda _options: made["MeanColour"]()  # type: ignore[index]
settings = load_settings(library=Path(sys.argv[1]), serve_roots=[sys.argv[2]], encoder="mean-colour", dehaze="none", regions="none")
app = create_app(settings)
app.state.service.jobs.command = (sys.executable, "-P", str(Path(__file__).with_name("colour_child.py")))
listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0"))))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)).run([listener])
