"""The `pellucid` command. Each subcommand is an adapter of a few lines; heavy modules are imported by the subcommand that needs them."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from . import haze_evaluation, quality_evaluation, segmentation_evaluation, tag_evaluation, verdict_evaluation  # noqa: F401 (commands of evaluation)
from .annotating import annotate as annotate_command
from .arguments import MINUS, mistyped, protected
from .dehazing import dehaze as dehaze_command
from .duplicates import dups as dups_command
from .evaluation import evaluate_app
from .exporting import export as export_command
from .forgetting import forget as forget_command
from .importing import import_app
from .keys import keys_app
from .models import models_app
from .options import EncoderOption, JsonOption, LibraryOption, MegapixelsOption, PrecisionOption, RuntimeOption, ServerOption
from .scoring import score as score_command
from .segmenters import segmenters_app
from .segmenting import segment as segment_command
from .serving import serve as serve_command
from .tagging import tag as tag_command
from .tags import tags_app
from .xmp import xmp_app

app = typer.Typer(
    name="pellucid",
    help="Find photos through haze and words. Nothing is downloaded unless you add a model, and originals are never written to.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(evaluate_app, name="eval")
app.add_typer(models_app, name="models")
app.add_typer(segmenters_app, name="segmenters")
app.command("dehaze")(dehaze_command)
app.command("dups")(dups_command)
app.command("annotate")(annotate_command)
app.command("segment")(segment_command)
app.command("export")(export_command)
app.add_typer(import_app, name="import")
app.command("tag")(tag_command)
app.add_typer(tags_app, name="tags")
app.add_typer(xmp_app, name="xmp")
app.command("score")(score_command)
app.command("forget")(forget_command)
app.command("serve")(serve_command)
app.add_typer(keys_app, name="keys")


@app.command()
def index(
    roots: Annotated[list[Path] | None, typer.Argument(metavar="ROOT", help="Folders of photos. None: all known ones again.")] = None,
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Leave these files and folders out.")] = None,
    include_hidden: Annotated[bool | None, typer.Option("--include-hidden", help="Take names that start with a dot too.")] = None,
    dehaze: Annotated[
        str | None,
        typer.Option(
            "--dehaze", metavar="auto|none|NAME", help="Which photos are found through a dehazed version too.", show_default="auto"
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            "--regions", metavar="none|builtin|NAME", help="What finds the regions of photos; a+b joins.", show_default="as before, none"
        ),
    ] = None,
    precision: PrecisionOption = None,
    runtime: RuntimeOption = None,
    max_megapixels: MegapixelsOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", help="Threads that read photos.", show_default="one a core")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the library up to date with folders of photos. Run it again at any time: only what changed is read."""
    from .remote_use import only_here, remote_of

    if (client := remote_of(server, library)) is not None:
        from .remote_work import remote_index

        only_here({
            "--encoder": encoder, "--exclude": exclude, "--include-hidden": include_hidden, "--precision": precision, "--runtime": runtime,
            "--max-megapixels": max_megapixels, "--jobs": jobs,
        })  # fmt: skip
        remote_index(client, roots or [], {"dehaze": dehaze, "regions": regions, "dry_run": dry_run or None}, as_json=as_json)
        return
    from .output import print_json, progress_bar, quiet_decoders, report_summary
    from .wiring import run_index

    with quiet_decoders(), progress_bar(not as_json) as move:
        report = run_index(
            roots or [], dry_run=dry_run, on_progress=move, on_note=lambda line: typer.echo(line, err=True), library=library, encoder=encoder,
            dehaze=dehaze, regions=regions, precision=precision, runtime=runtime, exclude=exclude or None, include_hidden=include_hidden,
            max_megapixels=max_megapixels, jobs=jobs,
        )  # fmt: skip
    if as_json:
        print_json(report.as_dict())
    else:
        report_summary(report)
    if report.interrupted:
        raise typer.Exit(130)


@app.command()
def search(
    terms: Annotated[
        list[str],
        typer.Argument(
            metavar="TERM", help="Words, ./picture.jpg or https://...; 2:words weighs, -words subtracts, without:words leaves photos out."
        ),
    ],
    k: Annotated[int, typer.Option("-k", "--limit", min=1, help="How many hits.")] = 10,
    where: Annotated[str | None, typer.Option("--where", metavar="EXPR", help="A condition on columns, such as iso < 400.")] = None,
    within: Annotated[
        str | None,
        typer.Option("--in", metavar="images|regions|both", help="What is compared.", show_default="both where there are regions"),
    ] = None,
    strictness: Annotated[
        int, typer.Option("--strictness", metavar="0..100", help="How sure a hit must be to stay: 0 keeps everything.")
    ] = 50,
    sort: Annotated[
        str, typer.Option("--sort", metavar="relevance|date|similarity|quality", help="The order of the relevant hits.")
    ] = "relevance",
    diverse: Annotated[bool, typer.Option("--diverse", help="Hits that are unlike each other.")] = False,
    collapse: Annotated[bool, typer.Option("--collapse", help="Count photos that look the same as one hit.")] = False,
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    max_megapixels: MegapixelsOption = None,
    allow_private_urls: Annotated[
        bool | None,
        typer.Option("--allow-private-urls", help="Fetch pictures from private and loopback addresses too."),
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print full names only, one a line.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pictures of the hits.")] = None,
) -> None:
    """Find photos by words, by a picture, or by both."""
    from preprocess import is_photo

    from .hits_output import answer_dict, print_answer, subtitle_of
    from .output import plain, print_json
    from .remote_use import only_here, remote_of
    from .wiring import SearchOptions, run_search

    if as_json and paths:
        raise typer.BadParameter("choose one of --json and --paths")
    if slip := next((hint for term in terms if (hint := mistyped(term))), None):
        raise typer.BadParameter(slip)
    terms = [term.replace(MINUS, "-", 1) if term.startswith(MINUS) else term for term in terms]
    for term in terms:
        if is_photo(term) and Path(term).is_file() and not Path(term).is_absolute() and not term.startswith("."):
            typer.echo(f"Searching for the words {term!r}. To search by that picture, write ./{term}", err=True)
    options = SearchOptions(k, where, within, strictness, sort, diverse, collapse)
    if (client := remote_of(server, library)) is not None:
        from .remote_search import remote_search

        only_here({"--encoder": encoder, "--max-megapixels": max_megapixels, "--allow-private-urls": allow_private_urls, "--html": html})
        remote_search(client, terms, options, as_json=as_json, paths=paths)
        return
    answer = run_search(
        terms, options, library=library, encoder=encoder, max_megapixels=max_megapixels, allow_private_urls=allow_private_urls
    )
    if answer.note is not None:
        typer.echo(plain(answer.note), err=True)
    if html is not None:
        from .output import quiet_decoders
        from .sheet import Answered, contact_sheet
        from .wiring import picture_of, write_text

        with quiet_decoders():
            answered = Answered(" ".join(terms), answer.hits, picture_of(terms), answer.nearest_miss)
            page = contact_sheet(" ".join(terms), subtitle_of(answer, terms), [answered])
        write_text(html, page)
    if as_json:
        print_json(answer_dict(answer, terms, options))
    elif paths:
        sys.stdout.write("".join(f"{hit.file}\n" for hit in answer.hits))
    elif answer.hits or answer.nearest_miss is not None:
        print_answer(answer, terms)
    else:
        from .library_regions import labels_asked_in_vain
        from .wiring import open_library

        hint = labels_asked_in_vain(open_library(library), where) if where else ""
        left = "No photo is left without that." if any(term.strip().lower().startswith("without:") for term in terms) else ""
        typer.echo(plain(f"No photo meets the condition.{hint}") if where else left or "The library has no photos.", err=True)


@app.command()
def stats(library: LibraryOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """What the library holds."""
    from .health import library_stats, print_facts
    from .output import print_json
    from .remote_use import remote_of
    from .wiring import open_library

    if (client := remote_of(server, library)) is not None:
        from .remote_search import remote_stats

        remote_stats(client, as_json=as_json)
        return
    facts = library_stats(open_library(library))
    print_json(facts) if as_json else print_facts(facts)


@app.command()
def doctor(
    library: LibraryOption = None,
    failures: Annotated[bool, typer.Option("--failures", help="List every file that could not be indexed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Is the store healthy, is the cache fresh, what failed, which versions are these? Exit code 1 when something needs care."""
    from .health import examine, print_examination
    from .output import print_json
    from .wiring import open_library

    facts = examine(open_library(library))
    print_json(facts) if as_json else print_examination(facts, every=failures)
    if facts["problems"]:
        raise typer.Exit(1)


@app.command()
def compact(library: LibraryOption = None) -> None:
    """Merge the store's small files, drop older versions, and write the cache anew."""
    from .output import console
    from .wiring import run_compact

    before, after = run_compact(library)
    console().print(f"{before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after.")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pellucid {version('pellucid')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line: a known error is one line and its exit code, an interrupt is 130."""
    import logging

    from preprocess import PellucidError

    logging.getLogger("PIL").addHandler(logging.NullHandler())  # its complaints name no file; ours do
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 still gets every name
    try:
        app(protected(sys.argv[1:]), standalone_mode=True)
    except PellucidError as error:
        from .errors import codes
        from .output import plain

        sys.stderr.write(f"pellucid: {plain(str(error))}\n")
        sys.exit(codes(type(error))[0])
    except KeyboardInterrupt:
        sys.stderr.write("pellucid: interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)


if __name__ == "__main__":
    main()
