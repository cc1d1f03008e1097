"""`pellucid models`: encoders that were added, and which one a library uses."""

from __future__ import annotations

import typer

models_app = typer.Typer(help="Add encoders, measure them, and switch between them.", no_args_is_help=True)
