"""A segmenter from where it was trained, made into a folder that `load_segmenter` knows; one that is not whole and checked never appears."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import InputError, Progress, WeightsError, check_name, kind_of, no_progress, safe_name, staged, wrong_files

from .label_sets import LABEL_SETS, DataLabels, read_labels
from .segment import KIND, SegmenterFacts
from .verify import find_segmenter_faults, probe_of

if TYPE_CHECKING:
    from ._smp import Loaded

RESERVED = ("builtin", "none", "proposals", "human")
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class AddSegmenterOptions:
    """What is said of a segmenter besides where it lies.

    `arch` and `encoder` are smp's names, and needed for a checkpoint of smp, which does not say them. `labels` is a name in `LABEL_SETS` or a file of
    names, in the order of the classes. `short` is the size, in pixels of the short side, that the network was trained at; 0 for photos at their full size.
    """

    name: str | None = None
    arch: str | None = None
    encoder: str | None = None
    labels: str | None = None
    short: int | None = None
    licence: str | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.short is not None and self.short < 0:
            raise InputError(f"--short is {self.short}; it is a number of pixels, or 0 for photos at their full size.")


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    name: str
    options: AddSegmenterOptions
    on_progress: Progress


def add_segmenter(
    source: str, models: Path, options: AddSegmenterOptions | None = None, on_progress: Progress = no_progress
) -> SegmenterFacts:
    """Add the segmenter in the file or folder `source` to the folder `models`, and say what it is.

    `source` is a checkpoint of smp or of torchvision's DeepLabV3, a folder that smp's `save_pretrained` made, or a segmenter's folder of Pellucid.

    Raises:
        InputError: the source or name is wrong, a model of that name exists, or architecture or labels are missing or do not fit.
        MissingExtra: the source needs torch and smp, which are not installed.
        WeightsError: files are missing or damaged, or the segmenter does not run here as it does with torch.
        StorageFull: the disk took no more.
    """
    options = options or AddSegmenterOptions()
    path = Path(source.strip().removeprefix("path:")).expanduser().absolute()
    maker = _maker(path, options)
    name = options.name or _name_of(path)
    if not name:
        raise InputError(f"No name can be made from {path.name}. Give one: --name NAME")
    check_name(name, RESERVED, "a name that regions have without any segmenter that was added")
    models = models.absolute()
    with staged(models, name, replace=options.force, kind=KIND) as folder:
        facts = _made(maker, _Job(path, name, options, on_progress), folder)
        facts.write(folder)
        on_progress("check", None)
        _accept(folder, path)
        if "probe" not in facts.measured:
            replace(facts, measured=dict(facts.measured) | {"probe": probe_of(folder)}).write(folder)
    return SegmenterFacts.read(models / name)


def _made(maker: Callable[[_Job, Path], SegmenterFacts], job: _Job, folder: Path) -> SegmenterFacts:
    """What cannot be read is no fault of the folder that is written."""
    try:
        return maker(job, folder)
    except PermissionError as error:
        if error.filename and Path(error.filename).is_relative_to(folder):
            raise
        raise WeightsError(f"{error.filename or job.path} cannot be read: {error.strerror}. Give yourself the right to read it.") from error


def _maker(path: Path, options: AddSegmenterOptions) -> Callable[[_Job, Path], SegmenterFacts]:
    """What makes a folder of such a source; whatever can be refused without reading it is refused here."""
    if not path.exists():
        raise InputError(
            f"There is no file or folder {path}. Name a checkpoint, a folder of smp's save_pretrained, or a segmenter's folder."
        )
    if path.is_dir() and (path / "weights.json").is_file():
        _says_itself(path, arch=options.arch, encoder=options.encoder, labels=options.labels)
        return _copied
    if path.is_dir() and (path / "config.json").is_file():
        _says_itself(path, arch=options.arch, encoder=options.encoder)
        return _from_folder
    if path.is_dir():
        raise InputError(
            f"{path} has no segmenter that Pellucid knows: neither weights.json (one of Pellucid) nor config.json (smp's save_pretrained). "
            "For a checkpoint, name the file."
        )
    if path.suffix.lower() not in CHECKPOINTS:
        raise InputError(f"{path} is no checkpoint by its name; those end in {', '.join(CHECKPOINTS)}.")
    return _from_file


def _says_itself(path: Path, **given: str | None) -> None:
    said = [f"--{name}" for name, value in given.items() if value is not None]
    if said:
        raise InputError(f"{path} says itself what it is. Leave out {' and '.join(said)}.")


def _name_of(path: Path) -> str:
    """The source's own name; a folder of ours keeps its name."""
    if path.is_dir() and (path / "weights.json").is_file() and kind_of(path) == KIND:
        return _facts_of(path).name
    return safe_name(path.name if path.is_dir() else path.stem)


def _facts_of(folder: Path) -> SegmenterFacts:
    """As `SegmenterFacts.read`, with the remedy for a folder that is not among the models."""
    try:
        return SegmenterFacts.read(folder)
    except WeightsError as error:
        if error.__cause__ is None:  # of a later format, or of another kind
            raise
        raise WeightsError(f"{folder / 'weights.json'} is damaged ({error.__cause__}). Copy the folder again.") from error.__cause__


def _copied(job: _Job, folder: Path) -> SegmenterFacts:
    """A folder of ours, from another machine perhaps: its graph, facts and source stay what they are."""
    facts, options = _facts_of(job.path), job.options
    odd = [name for name in facts.files if Path(name).name != name or name.startswith(".")]
    if wrong := odd or wrong_files(job.path, facts.files):
        raise WeightsError(f"{job.path / wrong[0]} is missing, or is not the file that weights.json says. Copy the folder again.")
    for name in facts.files:
        job.on_progress(f"copy {name}", None)
        shutil.copyfile(job.path / name, folder / name)
    frame = facts.frame if options.short is None else replace(facts.frame, short=options.short)
    measured = dict(facts.measured)
    if frame != facts.frame:
        measured.pop("probe", None)  # of another size
    return replace(facts, name=job.name, licence=options.licence or facts.licence, frame=frame, measured=measured)


def _from_folder(job: _Job, folder: Path) -> SegmenterFacts:
    _labels_of(job)  # before anything is read
    job.on_progress("load", None)
    from ._smp import load_folder

    return _export(job, folder, load_folder(job.path))


def _from_file(job: _Job, folder: Path) -> SegmenterFacts:
    job.on_progress("load", None)
    from ._smp import read_checkpoint
    from ._torchvision import convert, is_torchvision

    state, options = read_checkpoint(job.path), job.options
    if not is_torchvision(state):
        return _export(job, folder, _of_smp(job, state))
    if (options.arch or "deeplabv3").lower() != "deeplabv3" or options.encoder:
        raise InputError(f"{job.path} is torchvision's DeepLabV3, which says its encoder itself. Leave out --arch and --encoder.")
    loaded = convert(state, str(job.path))
    voc = loaded.classes == len(LABEL_SETS["voc"]) and options.labels is None  # what torchvision publishes
    return _export(replace(job, options=replace(options, labels="voc")) if voc else job, folder, loaded)


def _of_smp(job: _Job, state: dict[str, Any]) -> Loaded:
    from ._smp import classes_of, fitted

    options = job.options
    if not options.arch or not options.encoder:
        raise InputError(
            f"Which architecture and encoder of smp is {job.path}? Add both, such as --arch deeplabv3plus --encoder mobilenet_v2. A folder that "
            "smp's save_pretrained made says them itself."
        )
    labels = _labels_of(job)
    classes = classes_of(state) or len(labels.names)
    return fitted(state, str(job.path), options.arch, options.encoder, classes)


def _labels_of(job: _Job) -> DataLabels:
    if job.options.labels is None:
        raise InputError(
            f"What are the classes of {job.path} called? Add --labels FILE, with one name a line in the order of the classes, or one of "
            f"{', '.join(LABEL_SETS)}."
        )
    return read_labels(job.options.labels)


def _export(job: _Job, folder: Path, loaded: Loaded) -> SegmenterFacts:
    from ._segmenter_export import export_segmenter

    options, given = job.options, _labels_of(job)
    kept = tuple(name for number, name in enumerate(given.names) if number not in given.ignored)
    names = next((names for names in (given.names, kept) if len(names) == loaded.label_count), given.names)
    if loaded.classes == 1 and len(given.names) == 1:
        names = ("background", *given.names)
    if options.short is not None:
        loaded = replace(loaded, frame=replace(loaded.frame, short=options.short))
    return export_segmenter(
        loaded, folder, job.name, names, source=f"path:{job.path}", licence=options.licence or NOT_STATED, on_progress=job.on_progress
    )  # fmt: skip


def _accept(folder: Path, path: Path) -> None:
    if faults := find_segmenter_faults(folder):
        what = "; ".join(f"{fault.file.name if fault.file != folder else 'it'}: {fault.what}" for fault in faults)
        raise WeightsError(
            f"{path} was not added, because it does not work here ({what}). See that its files are whole, or take another model."
        )
