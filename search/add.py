"""A model from wherever it is, made into a folder that `load_encoder` knows; one that is not whole and checked never appears."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from preprocess import InputError, Progress, WeightsError, choose, no_progress, staged

from .encode import model_folders
from .model import TORCH, Model
from .sources import NOT_STATED, Source, Terms, checked_name, parse_source, terms_of
from .verify import find_faults, probe_of

if TYPE_CHECKING:
    from ._hub import Repository
    from ._open_clip import Loaded

Consent: TypeAlias = bool | Callable[[Terms], bool]
"""Whether terms that allow research only are accepted; a function is shown every source's terms before anything is downloaded."""
Runtime: TypeAlias = Literal["onnx", "torch"]

CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True, slots=True)
class _Job:
    source: Source
    name: str
    arch: str | None
    runtime: Runtime
    consent: Consent
    offline: bool
    on_progress: Progress
    dense: bool = False

    @property
    def not_asked(self) -> str:
        """Why the hub must not be asked; empty where it may."""
        return "--offline" if self.offline else ""

    def agree(self, stated: str = "") -> str:
        """The licence, once it is agreed to."""
        terms = terms_of(self.source, stated)
        agreed = self.consent(terms) if callable(self.consent) else self.consent or not terms.research_only
        if not agreed:
            read = f" Read them at {terms.address}" if terms.address else " Read them"
            raise InputError(
                f"The terms of {terms.source} ({terms.licence}) allow research only.{read} and, if you may use it, add --accept-licence."
            )
        return terms.licence


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
    job = _Job(wanted, given, arch, runtime, accept_licence, offline, on_progress, dense)
    if dense and wanted.kind == "hub":
        raise _no_weights(str(wanted), "Add it without --dense.")
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
    folder = choose({folder.name: folder for folder in model_folders(models.absolute())}, name, "added model")
    model = Model.read(folder)
    loaded = replace(_loaded_again(folder, model, offline, on_progress), image=model.image)
    from ._dense_export import replace_dense

    return replace_dense(loaded, folder, on_progress)


def _loaded_again(folder: Path, model: Model, offline: bool, on_progress: Progress) -> Loaded:
    if (folder / TORCH).is_file():
        from ._open_clip import load_checkpoint

        return load_checkpoint(model.arch, folder / TORCH)
    source = parse_source(model.source)
    job = _Job(source, model.name, model.arch, "onnx", True, offline, on_progress)  # its terms were agreed to when it was added
    if source.kind == "open_clip":
        return _load_open_clip(job)[1]
    if source.kind == "path" and Path(source.place).suffix.lower() in CHECKPOINTS:
        return _load_file(job, Path(source.place).expanduser().absolute())[0]
    raise _no_weights(model.source, "Add the model from a checkpoint instead.")


def _no_weights(source: str, remedy: str) -> InputError:
    return InputError(
        f"{source} has ready-made graphs, and dense features need the weights for torch: open_clip:ARCH/TAG or path:CHECKPOINT. {remedy}"
    )


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


def _from_open_clip(job: _Job, folder: Path) -> Model:
    exact, loaded, licence = _load_open_clip(job)
    return _export(exact, folder, loaded, licence)


def _load_open_clip(job: _Job) -> tuple[_Job, Loaded, str]:
    """The job with the exact source, the model, and its licence."""
    from .pretrained import find_pretrained

    found = find_pretrained(job.source.place, job.source.tag)  # before the hub is asked, and before torch is imported
    from . import _hub

    repository = _hub.look(found.repository, job.not_asked)
    exact = replace(job, source=Source("open_clip", found.arch, found.tag))
    licence = exact.agree(repository.licence)
    here = next((file for file in found.files if file in repository.sizes or _hub.cached_file(found.repository, file)), found.files[-1])
    _hub.fetch(repository, [*_card(repository), here], job.on_progress)
    _fetch_texts(found.others, repository.why, job.on_progress)
    job.on_progress("load", None)
    from ._open_clip import load_pretrained

    with _hub.only_cache():
        return exact, load_pretrained(found.arch, found.tag), licence


def _fetch_texts(repositories: Iterable[str], why: str, on_progress: Progress) -> None:
    """Bring what a tokenizer or a text tower's definition needs into the cache; all small files of those repositories."""
    from . import _hub

    for name in repositories:
        repository = _hub.look(name, why)
        _hub.fetch(
            repository, [file for file in repository.sizes if file.endswith((".json", ".txt", ".model")) and "/" not in file], on_progress
        )


def _card(repository: Repository) -> list[str]:
    """The card goes into the cache too, so that the licence is known there."""
    return ["README.md"] if "README.md" in repository.sizes else []


def _from_hub(job: _Job, folder: Path) -> Model:
    from . import _hub
    from .immich import GRAPHS, SMALL, from_immich, outside

    repository = _hub.look(job.source.place, job.not_asked)
    licence = job.agree(repository.licence)
    found = _hub.fetch(repository, [*_card(repository), *SMALL, *GRAPHS], job.on_progress)
    beside = [f"{graph.rpartition('/')[0]}/{name}" for graph in GRAPHS for name in outside(found[graph])]
    if beside:
        _hub.fetch(repository, beside, job.on_progress)
    job.on_progress("copy", None)
    return from_immich(found[SMALL[0]].parent, folder, job.name, str(job.source), licence)


def _from_path(job: _Job, folder: Path) -> Model:
    path = Path(job.source.place).expanduser().absolute()
    if not path.exists():
        raise InputError(f"There is no file or folder {path}. Write path: and the name of a checkpoint or of a folder with ONNX graphs.")
    try:
        return _from_folder(job, path, folder) if path.is_dir() else _from_file(job, path, folder)
    except PermissionError as error:
        if error.filename and Path(error.filename).is_relative_to(folder):
            raise
        raise WeightsError(f"{error.filename or path} cannot be read: {error.strerror}. Give yourself the right to read it.") from error


def _from_folder(job: _Job, path: Path, folder: Path) -> Model:
    from .immich import from_immich, is_immich

    if job.dense:
        raise _no_weights(str(job.source), "Add it without --dense.")
    if (path / "weights.json").is_file():
        return _copied(job, path, folder)
    if not is_immich(path):
        raise WeightsError(
            f"{path} has no model that Pellucid knows: neither weights.json (a model folder of Pellucid) nor visual/model.onnx and "
            f"textual/model.onnx (as Immich publishes). For a checkpoint, name the file: path:FILE --arch ARCH"
        )
    return from_immich(path, folder, job.name, str(job.source), job.agree())


def _copied(job: _Job, path: Path, folder: Path) -> Model:
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


def _from_file(job: _Job, path: Path, folder: Path) -> Model:
    loaded, licence = _load_file(job, path)
    return _export(job, folder, loaded, licence)


def _load_file(job: _Job, path: Path) -> tuple[Loaded, str]:
    """The model of a checkpoint, and its licence."""
    from .pretrained import known_architecture, text_repositories

    if path.suffix.lower() == ".onnx":
        raise InputError(
            f"{path} is one graph of two. Name the folder that has both, visual/model.onnx and textual/model.onnx: path:FOLDER"
        )
    if path.stat().st_size == 0:
        raise WeightsError(f"{path} is empty. Fetch it again.")
    if path.suffix.lower() not in CHECKPOINTS:
        raise InputError(f"{path} is no checkpoint by its name; those end in {', '.join(CHECKPOINTS)}.")
    if not job.arch:
        raise InputError(f"Which architecture is {path}? Add --arch, such as --arch ViT-B-32; open_clip.list_models() lists them.")
    arch = known_architecture(job.arch)
    with path.open("rb"):
        pass  # a file that cannot be read is no fault of the folder that is written
    licence = job.agree()
    from . import _hub

    _fetch_texts(text_repositories(arch), job.not_asked, job.on_progress)
    job.on_progress("load", None)
    from ._open_clip import load_checkpoint

    with _hub.only_cache():
        return load_checkpoint(arch, path), licence


def _export(job: _Job, folder: Path, loaded: Loaded, licence: str) -> Model:
    from . import _hub
    from ._export import export_model

    with _hub.only_cache():
        return export_model(
            loaded, folder, job.name, str(job.source), licence, runtime=job.runtime, dense=job.dense, on_progress=job.on_progress
        )


_MAKERS: dict[str, Callable[[_Job, Path], Model]] = {"open_clip": _from_open_clip, "hub": _from_hub, "path": _from_path}
