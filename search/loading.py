"""The torch weights of a model, from the sources that have them: a tag of open_clip, or a checkpoint. Its terms come first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from preprocess import InputError, Progress, WeightsError

from .model import TORCH, Model
from .sources import Source, Terms, parse_source, terms_of

if TYPE_CHECKING:
    from ._hub import Repository
    from ._open_clip import Loaded

Consent: TypeAlias = bool | Callable[[Terms], bool]
"""Whether terms that allow research only are accepted; a function is shown every source's terms before anything is downloaded."""
Runtime: TypeAlias = Literal["onnx", "torch"]

CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be added, and under which conditions."""

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


def loaded_again(folder: Path, model: Model, offline: bool, on_progress: Progress) -> Loaded:
    """The torch model that an added one was made from.

    Raises:
        InputError: it was made of ready-made graphs.
        WeightsError: its weights cannot be had again.
    """
    if (folder / TORCH).is_file():
        from ._open_clip import load_checkpoint

        return load_checkpoint(model.arch, folder / TORCH)
    source = parse_source(model.source)
    job = Job(source, model.name, model.arch, "onnx", True, offline, on_progress)  # its terms were agreed to when it was added
    if source.kind == "open_clip":
        return load_open_clip(job)[1]
    if source.kind == "path" and Path(source.place).suffix.lower() in CHECKPOINTS:
        return load_file(job, Path(source.place).expanduser().absolute())[0]
    raise no_weights(model.source, "Add the model from a checkpoint instead.")


def no_weights(source: str, remedy: str) -> InputError:
    """That a source has graphs only."""
    return InputError(
        f"{source} has ready-made graphs, and a further one needs the weights for torch: open_clip:ARCH/TAG or path:CHECKPOINT. {remedy}"
    )


def load_open_clip(job: Job) -> tuple[Job, Loaded, str]:
    """The job with the exact source, the model, and its licence."""
    from .pretrained import find_pretrained

    found = find_pretrained(job.source.place, job.source.tag)  # before the hub is asked, and before torch is imported
    from . import _hub

    repository = _hub.look(found.repository, job.not_asked)
    exact = replace(job, source=Source("open_clip", found.arch, found.tag))
    licence = exact.agree(repository.licence)
    here = next((file for file in found.files if file in repository.sizes or _hub.cached_file(found.repository, file)), found.files[-1])
    _hub.fetch(repository, [*card_of(repository), here], job.on_progress)
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


def card_of(repository: Repository) -> list[str]:
    """The card goes into the cache too, so that the licence is known there."""
    return ["README.md"] if "README.md" in repository.sizes else []


def load_file(job: Job, path: Path) -> tuple[Loaded, str]:
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
