"""A model from wherever it is, made into a folder that `load_encoder` knows; one that is not whole and checked never appears."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import InputError, Progress, WeightsError, choose, no_progress, staged

from .encode import model_folders
from .loading import Consent, Job, Runtime, card_of, load_file, load_open_clip, loaded_again, no_weights
from .model import Model
from .sources import NOT_STATED, Source, checked_name, parse_source
from .verify import find_faults, probe_of

if TYPE_CHECKING:
    from ._open_clip import Loaded


def add_model(
    source: str, models: Path, *, name: str | None = None, arch: str | None = None, runtime: Runtime = "onnx", accept_licence: Consent = False,
    offline: bool = False, force: bool = False, dense: bool = False, on_progress: Progress = no_progress,
) -> Model:  # fmt: skip
    """Add the model `source` to the folder `models` and say what it is.

    `arch` is needed for a checkpoint. With `runtime` "torch" the weights are kept beside the ONNX graphs, so that a GPU can run them. With
    `offline` nothing is asked of the network. With `force` a model of the same name is replaced, and kept until the new one is checked. With `dense` it gets
    a graph of dense features too, for regions by words.

    Raises:
        InputError: the source or name is wrong, a model of that name exists, research-only terms are not accepted, or dense features are wanted of ready-made
            graphs.
        MissingExtra: the source needs open_clip, which is not installed.
        WeightsError: files are missing, damaged or cannot be fetched, or the model does not answer as it says.
        StorageFull: the disk took no more.
    """
    wanted = parse_source(source)
    given = checked_name(name or _name_of(wanted), wanted)
    job = Job(wanted, given, arch, runtime, accept_licence, offline, on_progress, dense)
    if dense and wanted.kind == "hub":
        raise no_weights(str(wanted), "Add it without --dense.")
    models = models.absolute()
    with staged(models, given, replace=force) as folder:
        model = _MAKERS[wanted.kind](job, folder)
        model.write(folder)
        on_progress("check", None)
        _accept(folder, wanted)
        if "probe" not in model.measured:
            replace(model, measured=dict(model.measured) | {"probe": probe_of(folder)}).write(folder)
    return Model.read(models / given)


def add_dense(name: str, models: Path, *, offline: bool = False, on_progress: Progress = no_progress) -> Model:
    """Give a model that was added before a graph of dense features, and say what it is. Its other files stay as they are, and so do all vectors by it.

    Raises:
        UnknownName: no model of that name was added.
        InputError: it was made of ready-made graphs.
        MissingExtra: open_clip is not installed.
        WeightsError: its torch weights cannot be had again or are others now, or its tower has no dense features.
    """
    folder, loaded = _again(name, models, offline, on_progress)
    from ._dense_export import replace_dense

    return replace_dense(loaded, folder, on_progress)


def add_iqa(name: str, models: Path, *, offline: bool = False, on_progress: Progress = no_progress) -> Model:
    """Give a model that was added before a graph of CLIP-IQA, for scores of photos at their own size, and say what it is. Its other files stay as they are.

    Raises:
        UnknownName: no model of that name was added.
        InputError: it was made of ready-made graphs.
        MissingExtra: open_clip is not installed.
        WeightsError: its torch weights cannot be had again or are others now, or its tower is none of OpenAI's residual nets.
    """
    folder, loaded = _again(name, models, offline, on_progress)
    from ._iqa_export import replace_iqa

    return replace_iqa(loaded, folder, on_progress)


def _again(name: str, models: Path, offline: bool, on_progress: Progress) -> tuple[Path, Loaded]:
    """The folder of a model that was added, and its torch weights, which its graphs were made of."""
    folder = choose({folder.name: folder for folder in model_folders(models.absolute())}, name, "added model")
    model = Model.read(folder)
    return folder, replace(loaded_again(folder, model, offline, on_progress), image=model.image)


def _accept(folder: Path, source: Source) -> None:
    faults = find_faults(folder)
    if faults:
        what = "; ".join(f"{fault.file.name if fault.file != folder else 'it'}: {fault.what}" for fault in faults)
        raise WeightsError(
            f"{source} was not added, because it does not work here ({what}). See that its files are whole, or take another model."
        )


def _name_of(source: Source) -> str:
    """The source's own name; a model folder of ours keeps the name that its vectors bear."""
    folder = Path(source.place).expanduser()
    if source.kind == "path" and (folder / "weights.json").is_file():
        return str(_facts_of(folder).name)
    return source.default_name


def _facts_of(folder: Path) -> Model:
    """As `Model.read`, with the remedy for a folder that is not among the models."""
    try:
        return Model.read(folder)
    except WeightsError as error:
        if error.__cause__ is None:  # of a later format
            raise
        raise WeightsError(f"{folder / 'weights.json'} is damaged ({error.__cause__}). Copy the folder again.") from error.__cause__


def _from_open_clip(job: Job, folder: Path) -> Model:
    exact, loaded, licence = load_open_clip(job)
    return _export(exact, folder, loaded, licence)


def _from_hub(job: Job, folder: Path) -> Model:
    from . import _hub
    from .immich import GRAPHS, SMALL, from_immich, outside

    repository = _hub.look(job.source.place, job.not_asked)
    licence = job.agree(repository.licence)
    found = _hub.fetch(repository, [*card_of(repository), *SMALL, *GRAPHS], job.on_progress)
    beside = [f"{graph.rpartition('/')[0]}/{name}" for graph in GRAPHS for name in outside(found[graph])]
    if beside:
        _hub.fetch(repository, beside, job.on_progress)
    job.on_progress("copy", None)
    return from_immich(found[SMALL[0]].parent, folder, job.name, str(job.source), licence)


def _from_path(job: Job, folder: Path) -> Model:
    path = Path(job.source.place).expanduser().absolute()
    if not path.exists():
        raise InputError(f"There is no file or folder {path}. Write path: and the name of a checkpoint or of a folder with ONNX graphs.")
    try:
        return _from_folder(job, path, folder) if path.is_dir() else _from_file(job, path, folder)
    except PermissionError as error:
        if error.filename and Path(error.filename).is_relative_to(folder):
            raise
        raise WeightsError(f"{error.filename or path} cannot be read: {error.strerror}. Give yourself the right to read it.") from error


def _from_folder(job: Job, path: Path, folder: Path) -> Model:
    from .immich import from_immich, is_immich

    if job.dense:
        raise no_weights(str(job.source), "Add it without --dense.")
    if (path / "weights.json").is_file():
        return _copied(job, path, folder)
    if not is_immich(path):
        raise WeightsError(
            f"{path} has no model that Pellucid knows: neither weights.json (a model folder of Pellucid) nor visual/model.onnx and "
            f"textual/model.onnx (as Immich publishes). For a checkpoint, name the file: path:FILE --arch ARCH"
        )
    return from_immich(path, folder, job.name, str(job.source), job.agree())


def _copied(job: Job, path: Path, folder: Path) -> Model:
    """A model folder of ours, from another machine perhaps: its files, facts and source stay what they are."""
    model = _facts_of(path)
    licence = job.agree("" if model.licence == NOT_STATED else model.licence)
    odd = [name for name in model.files if Path(name).name != name or name.startswith(".")]
    wrong = odd or model.wrong_files(path)
    if wrong:
        raise WeightsError(f"{path / wrong[0]} is missing, or is not the file that weights.json says. Copy the folder again.")
    for name in model.files:
        job.on_progress(f"copy {name}", None)
        shutil.copyfile(path / name, folder / name)
    return replace(model, name=job.name, licence=licence)


def _from_file(job: Job, path: Path, folder: Path) -> Model:
    loaded, licence = load_file(job, path)
    return _export(job, folder, loaded, licence)


def _export(job: Job, folder: Path, loaded: Loaded, licence: str) -> Model:
    from . import _hub
    from ._export import export_model

    with _hub.only_cache():
        return export_model(
            loaded, folder, job.name, str(job.source), licence, runtime=job.runtime, dense=job.dense, on_progress=job.on_progress
        )


_MAKERS: dict[str, Callable[[Job, Path], Model]] = {"open_clip": _from_open_clip, "hub": _from_hub, "path": _from_path}
