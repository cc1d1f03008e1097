"""`pellucid models`: encoders that were added, and which one a library uses."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonOption, LibraryOption

models_app = typer.Typer(help="Add encoders, measure them, and switch between them.", no_args_is_help=True)


@models_app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """Models that are here, and those that are recommended, with published figures."""
    from .model_output import list_facts, print_models
    from .output import print_json
    from .settings import load_settings

    facts = list_facts(load_settings().models.expanduser().absolute())
    print_json(facts) if as_json else print_models(facts)


@models_app.command("add")
def add(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="open_clip:ARCH/TAG, hub:OWNER/NAME, path:FILE or a recommended name.")],
    arch: Annotated[str | None, typer.Option("--arch", help="A checkpoint's architecture, as open_clip calls it.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call the model here.", show_default="from the source")] = None,
    runtime: Annotated[
        str, typer.Option("--runtime", help="onnx; or torch, which keeps the weights for a GPU beside the graphs.")
    ] = "onnx",
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Accept terms that allow research only.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of the same name, once the new one is checked.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing of the network; take what the hub's cache has.")] = False,
    dense: Annotated[
        bool, typer.Option("--dense", help="Make a graph of dense features too, for pellucid segment; of vision transformers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a model: fetch or convert it, check it, and only then show it. Its licence is shown before anything is downloaded."""
    from search import add_model

    from .model_output import added_facts, ask_consent, one_of, print_added, step_bar
    from .output import print_json
    from .settings import load_settings

    folder = load_settings().models.expanduser().absolute()
    with step_bar(not as_json) as (move, pause):
        model = add_model(
            source, folder, name=name, arch=arch, runtime=one_of(runtime, ("onnx", "torch"), "--runtime"),
            accept_licence=ask_consent(accept_licence, pause), offline=offline, force=force, dense=dense, on_progress=move,
        )  # fmt: skip
    facts = added_facts(folder / model.name)
    print_json(facts) if as_json else print_added(facts)


@models_app.command("dense")
def dense(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model that was added.")],
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing of the network; take what the hub's cache has.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give an added model a graph of dense features, for pellucid segment. Its other files, and all vectors by it, stay as they are."""
    from search import add_dense

    from .model_output import added_facts, step_bar
    from .output import console, plain, print_json
    from .settings import load_settings

    folder = load_settings().models.expanduser().absolute()
    with step_bar(not as_json) as (move, _pause):
        add_dense(name, folder, offline=offline, on_progress=move)
    facts = added_facts(folder / name)
    print_json(facts) if as_json else console().print(
        plain(f'{name} has dense features: pellucid segment PHOTO --labels "..." --encoder {name}')
    )


@models_app.command("iqa")
def iqa(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model that was added: one of OpenAI's residual nets, such as RN50.")],
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing of the network; take what the hub's cache has.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give an added model a graph of CLIP-IQA, for pellucid score --mode paper. Its other files, and all vectors by it, stay as they are."""
    from search import add_iqa

    from .model_output import added_facts, step_bar
    from .output import console, plain, print_json
    from .settings import load_settings

    folder = load_settings().models.expanduser().absolute()
    with step_bar(not as_json) as (move, _pause):
        add_iqa(name, folder, offline=offline, on_progress=move)
    facts = added_facts(folder / name)
    print_json(facts) if as_json else console().print(plain(f"{name} has CLIP-IQA: pellucid score --mode paper"))


@models_app.command("verify")
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The model. None: all of them.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare every file with its sha256, and ask the model for vectors. Exit code 1 when something is wrong."""
    from .model_output import print_verified, verify_facts
    from .output import print_json
    from .settings import load_settings

    facts = verify_facts(load_settings().models.expanduser().absolute(), name)
    print_json(facts) if as_json else print_verified(facts)
    if any(model["faults"] for model in facts["models"]):
        raise typer.Exit(1)


@models_app.command("use")
def use(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An encoder whose vectors the library has.")],
    library: LibraryOption = None,
    force: Annotated[bool, typer.Option("--force", help="Switch although some photos have no vector by it yet.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let the library's searches use the vectors by another encoder. Nothing is computed; switch back at any time."""
    from .output import print_json, used_summary
    from .switching import run_use

    outcome = run_use(name, force=force, library=library)
    print_json(outcome) if as_json else used_summary(outcome)


@models_app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The encoder.")],
    library: LibraryOption = None,
    vectors_only: Annotated[bool, typer.Option("--vectors-only", help="Keep the model's files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Drop an encoder's vectors from the library, and its files. Never those that searches need."""
    from .output import print_json, removed_summary
    from .switching import run_remove

    outcome = run_remove(name, vectors_only=vectors_only, library=library)
    print_json(outcome) if as_json else removed_summary(outcome)


@models_app.command("compare")
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="An encoder, such as the one in use.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The encoder that might replace it.")],
    sample: Annotated[int, typer.Option("--sample", help="How many photos, from all folders.")] = 500,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """How alike two encoders see the library's photos, and what the second would cost. Nothing is written to the library."""
    from .output import comparison_summary, count_bar, print_json, quiet_decoders
    from .switching import run_compare

    with quiet_decoders(), count_bar("embedding", not as_json) as move:
        facts = run_compare(first, second, sample=sample, library=library, on_progress=move)
    print_json(facts) if as_json else comparison_summary(facts)


@models_app.command("bench")
def bench(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The model.", show_default="the settings' encoder")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on this machine: images a second, milliseconds a query, memory, loading. The best settings are used from then on."""
    from search import EncoderOptions, bench_model

    from .bench_output import print_bench
    from .model_output import step_bar
    from .output import print_json
    from .settings import load_settings

    settings = load_settings(encoder=name)
    with step_bar(not as_json) as (move, _pause):
        measured = bench_model(settings.encoder or "builtin", EncoderOptions(settings.models.expanduser()), lambda step: move(step, None))
    print_json(measured.as_dict()) if as_json else print_bench(measured)
