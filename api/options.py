"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LibraryOption = Annotated[
    Path | None, typer.Option("--library", help="The library's folder. Default: the user's data folder.", show_default=False)
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", help="Ask this service, not a library here; its key is in PELLUCID_SERVER_KEY.", show_default=False
    ),
]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="What maps photos and words to vectors.", show_default="the library's, or builtin")
]
PrecisionOption = Annotated[
    str | None,
    typer.Option("--precision", metavar="auto|fp32|int8", help="Of an added model; auto measures on these photos.", show_default="auto"),
]
RuntimeOption = Annotated[
    str | None, typer.Option("--runtime", metavar="auto|onnx|torch", help="What runs an added model.", show_default="auto")
]
MegapixelsOption = Annotated[
    float | None, typer.Option("--max-megapixels", help="Refuse larger photos before decoding them.", show_default="180")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
