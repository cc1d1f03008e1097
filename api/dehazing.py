"""`pellucid dehaze`: photos seen through haze, written as new files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import JsonOption, MegapixelsOption


def dehaze(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC", help="Photos, and folders of photos with all below them.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder that gets the dehazed photos; it is made where it is missing.")
    ],
    method: Annotated[
        str,
        typer.Option(
            "--method", metavar="NAME", help="auto leaves clear photos alone; dark-channel, dehazenet or aod-net take every photo."
        ),
    ] = "auto",
    preset: Annotated[str, typer.Option("--preset", metavar="default|search|paper", help="Settings of the dark channel.")] = "default",
    depth: Annotated[bool, typer.Option("--depth", help="Write the relative depth too, as NAME.depth.png.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write before, after and depth side by side too, as NAME.compare.jpg.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Make anew what exists in DIR already. Originals are never written to.")] = False,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Leave these files and folders out.")] = None,
    include_hidden: Annotated[bool | None, typer.Option("--include-hidden", help="Take names that start with a dot too.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", help="Photos in work at once.", show_default="one a core, at most 4")] = None,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove haze from photos and write them as new files, with their EXIF and colour profile. What exists already is skipped."""
    from indexer import WalkOptions

    from .dehaze_output import dehaze_summary
    from .dehaze_report import DehazeOptions
    from .dehaze_run import Dehazing
    from .output import count_bar, print_json, quiet_decoders
    from .settings import load_settings
    from .wiring import limits_of

    settings = load_settings(exclude=exclude or None, include_hidden=include_hidden, jobs=jobs, max_megapixels=max_megapixels)
    options = DehazeOptions(
        out.expanduser(), method, preset, depth, compare, force, settings.jobs,
        WalkOptions(tuple(settings.exclude), settings.include_hidden), limits_of(settings),
    )  # fmt: skip
    with quiet_decoders(), count_bar("dehazing", not as_json) as move:
        report = Dehazing(sources, options).run(move)
    if len(sources) == 1 and len(report.failed) == report.found == 1 and not sources[0].is_dir():
        raise next(iter(report.failed.values()))
    if as_json:
        print_json(report.as_dict())
    else:
        dehaze_summary(report)
    if report.interrupted:
        raise typer.Exit(130)
