"""`pellucid segmenters`: what names the parts of photos, besides the segmenter that ships."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonOption

segmenters_app = typer.Typer(help="Add segmenters, which name the parts of photos, and check them.", no_args_is_help=True)


@segmenters_app.command("list")
def list_segmenters(as_json: JsonOption = False) -> None:
    """Segmenters that are here, and what they name."""
    from .output import print_json
    from .segmenter_output import list_facts, print_segmenters
    from .settings import load_settings

    facts = list_facts(load_settings().models.expanduser().absolute())
    print_json(facts) if as_json else print_segmenters(facts)


@segmenters_app.command("add")
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A checkpoint of smp or of torchvision's DeepLabV3, a folder of save_pretrained, or a segmenter's folder.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="What to call it here.", show_default="from the source")] = None,
    arch: Annotated[
        str | None, typer.Option("--arch", metavar="deeplabv3plus|pspnet|...", help="An smp checkpoint's architecture, as smp calls it.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", metavar="mobilenet_v2|resnet101|...", help="An smp checkpoint's encoder, as smp calls it.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE|voc|camvid|cityscapes", help="What the classes are called: a file with a name a line, or a known set."
        ),
    ] = None,
    short: Annotated[
        int | None,
        typer.Option(
            "--short",
            metavar="N",
            help="Pixels of the short side that it was trained at; 0: photos at full size.",
            show_default="512; torchvision 520",
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="TEXT", help="Under which its weights may be used.", show_default="not stated")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a segmenter of the same name, once the new one is checked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a segmenter from this machine: make an ONNX graph of it, compare that with torch, and only then show it."""
    from annotate import AddSegmenterOptions, add_segmenter

    from .model_output import step_bar
    from .output import print_json
    from .segmenter_output import print_added, segmenter_facts
    from .settings import load_settings

    options = AddSegmenterOptions(name=name, arch=arch, encoder=encoder, labels=labels, short=short, licence=licence, force=force)
    models = load_settings().models.expanduser().absolute()
    with step_bar(not as_json) as (move, _pause):
        added = add_segmenter(source, models, options, move)
    facts = segmenter_facts(models / added.name)
    print_json(facts) if as_json else print_added(facts)


@segmenters_app.command("verify")
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The segmenter. None: all of them.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare every file with its sha256, and look at an example photo. Exit code 1 when something is wrong."""
    from .model_output import print_verified
    from .output import print_json
    from .segmenter_output import verify_facts
    from .settings import load_settings

    facts = verify_facts(load_settings().models.expanduser().absolute(), name)
    print_json(facts) if as_json else print_verified({"models": facts["segmenters"]})
    if any(segmenter["faults"] for segmenter in facts["segmenters"]):
        raise typer.Exit(1)


@segmenters_app.command("remove")
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="The segmenter.")], as_json: JsonOption = False) -> None:
    """Remove a segmenter's files. Regions that it has found stay in the libraries that have them."""
    from .output import print_json
    from .segmenter_output import print_removed, run_remove
    from .settings import load_settings

    outcome = run_remove(load_settings().models.expanduser().absolute(), name)
    print_json(outcome) if as_json else print_removed(outcome)
