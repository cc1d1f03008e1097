"""A torch model as a segmenter folder: exported to ONNX once, and compared with torch before it is accepted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from preprocess import (
    InputError,
    Progress,
    RgbImage,
    WeightsError,
    digest_of,
    example_photos,
    first_line,
    graph_errors,
    no_progress,
    real_photos,
    write_onnx,
)

from ._onnx_segmenter import OnnxSegmenter
from ._smp import Loaded
from .segment import GRAPH, Frame, SegmenterFacts, SegmenterOptions, checked_labels
from .tiles import padded_length

_LARGEST = 1_900_000_000  # bytes
LEAST_AGREEMENT = 0.999
"""Share of a photo's pixels at which the graph and torch must name the same class."""


class Whole(nn.Module):
    """UInt8["batch height width 3"] to logits, Float32["batch label height width"]; normalised inside."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self.module, self.binary = loaded.module, loaded.classes == 1
        self.register_buffer("mean", 255 * torch.tensor(loaded.frame.mean)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(loaded.frame.std)[:, None, None])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """A model of one class says how likely that is by the sigmoid of its logit, which is the softmax of 0 and the logit."""
        logits = self.module((pixels.permute(0, 3, 1, 2).float() - self.get_buffer("mean")) / self.get_buffer("std"))
        logits = logits[0] if isinstance(logits, tuple) else logits  # the other one is for whole photos
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.binary else logits


def export_segmenter(
    loaded: Loaded, folder: Path, name: str, labels: Sequence[str], *,
    source: str = "", licence: str = "unknown", photos: Sequence[RgbImage] = (), trained_on: Sequence[str] = (),
    on_progress: Progress = no_progress,
) -> SegmenterFacts:  # fmt: skip
    """Fill `folder`, which exists and is empty, with `segment.onnx` and `weights.json`.

    `photos` are those on which the graph is compared with torch; where there are none, those of `sample_photos`. `weights.json` is written last, and whoever calls
    removes the folder where this raises.

    Raises:
        InputError: the labels are not one for each class (two for a model of one class: that of all else comes first).
        WeightsError: the model cannot be exported, or its graph does not give its classes.
    """
    names = checked_labels(tuple(labels))
    if len(names) != loaded.label_count:
        raise InputError(f"{loaded.arch} tells {loaded.label_count} classes, and {len(names)} labels are given. Give one for each.")
    whole, file = Whole(loaded).eval(), folder / GRAPH
    on_progress("network to ONNX", None)
    _write_graph(whole, loaded, file)
    files = {GRAPH: digest_of(file)}
    facts = SegmenterFacts(name, names, loaded.frame, files, licence, source, loaded.arch, trained_on=tuple(trained_on))
    facts.write(folder)  # the segmenter reads it
    on_progress("comparison with torch", None)
    try:
        segmenter = OnnxSegmenter(folder, SegmenterOptions(threads=torch.get_num_threads()))
        facts = replace(facts, frame=replace(loaded.frame, least=_least_side(whole, segmenter)))
        facts = replace(facts, measured=compare(whole, segmenter, facts.frame, photos or sample_photos()))
    except BaseException:
        (folder / "weights.json").unlink()
        raise
    facts.write(folder)
    return facts


def compare(whole: nn.Module, segmenter: OnnxSegmenter, frame: Frame, photos: Sequence[RgbImage]) -> dict[str, Any]:
    """The least share of a photo's pixels at which graph and torch name the same class, and the largest difference of a logit.

    Each photo is cut to what the stride takes, at most one tile, so that every one has another size.

    Raises:
        WeightsError: the share is below `LEAST_AGREEMENT` for a photo, or the graph does not run.
    """
    agreement, apart = 1.0, 0.0
    for photo in photos:
        rows, columns = (min(padded_length(side, frame.stride, frame.least), frame.tile) for side in photo.shape[:2])
        cut = photo[:rows, :columns]
        cut = np.pad(cut, ((0, rows - cut.shape[0]), (0, columns - cut.shape[1]), (0, 0)), "edge")
        with torch.inference_mode():
            theirs = whole(torch.from_numpy(cut.copy())[None])[0].numpy()
        ours = segmenter.logits(cut)
        agreement = min(agreement, float((ours.argmax(0) == theirs.argmax(0)).mean()))
        apart = max(apart, float(np.abs(ours - theirs).max()))
    if not agreement >= LEAST_AGREEMENT:
        raise WeightsError(
            f"The exported graph of {segmenter.facts.arch} names the classes of torch at {agreement:.2%} of a photo's pixels, less than "
            f"{LEAST_AGREEMENT:.1%}. Nothing was kept. Choose another model, and report this one."
        )
    return {"agreement": round(agreement, 6), "largest_difference": float(f"{apart:.3g}"), "photos": len(photos)}


def sample_photos() -> list[RgbImage]:
    """The four photos that ship, one that is long and narrow, and one that is smaller than most networks' strides allow for."""
    return [*real_photos(), *example_photos()[4:6]]


def _least_side(whole: nn.Module, segmenter: OnnxSegmenter) -> int:
    """The least side that the model runs at: some poolings (PAN's) leave nothing of less."""
    stride, error = segmenter.frame.stride, "a tile is too small"
    for side in (stride * times for times in (1, 2, 4, 8, 16)):
        if side <= segmenter.frame.tile:
            pixels = np.zeros((side, side, 3), np.uint8)
            try:
                with torch.inference_mode():
                    whole(torch.from_numpy(pixels)[None])
                segmenter.logits(pixels)
            except (RuntimeError, ValueError, WeightsError) as caught:
                error = first_line(caught)
            else:
                return side
    raise WeightsError(f"{segmenter.facts.arch} runs at no size up to {segmenter.frame.tile} pixels: {error}. Choose another model.")


def _write_graph(whole: nn.Module, loaded: Loaded, file: Path) -> None:
    if sum(part.numel() * part.element_size() for part in whole.parameters()) > _LARGEST:
        raise WeightsError(
            f"{loaded.arch} has more than 1.9 GB of weights, and a graph is one file of at most 2 GiB. Choose a smaller encoder."
        )
    rows = padded_length(128, loaded.frame.stride)  # less is too little for PAN
    example = torch.zeros((2, rows, rows + loaded.frame.stride, 3), dtype=torch.uint8)
    axes = {"pixels": {0: "batch", 1: "height", 2: "width"}, "logits": {0: "batch", 2: "height", 3: "width"}}
    with graph_errors(loaded.arch), _exporting():
        write_onnx(whole, example, file, ["pixels"], ["logits"], axes)


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """torch's older exporter writes adaptive pooling only for sizes that it knows, and PSPNet's and UPerNet's pyramids pool pictures of any size. So
    they pool by matrices meanwhile, which gives the same means."""
    theirs = functional.adaptive_avg_pool2d
    functional.adaptive_avg_pool2d = _adaptive_mean  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.adaptive_avg_pool2d = theirs


def _adaptive_mean(planes: torch.Tensor, output_size: Any) -> torch.Tensor:
    """`adaptive_avg_pool2d`: cell i of n takes in the pixels from floor(i · length / n) up to, without it, ceil((i + 1) · length / n)."""
    rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
    if rows == columns == 1:
        return planes.mean((2, 3), keepdim=True)
    return _means(planes.shape[2], rows) @ planes @ _means(planes.shape[3], columns).transpose(0, 1)


def _means(length: Any, cells: int) -> torch.Tensor:
    """Float32["cell pixel"], whose rows add up to 1. `length` is a number that the exporter follows, so only its operations are used."""
    pixels, cell = torch.arange(length)[None], torch.arange(cells)[:, None]
    inside = (pixels * cells >= cell * length - cell * length % cells) & (pixels * cells < (cell + 1) * length)
    weights: torch.Tensor = inside.float()
    return weights / weights.sum(1, keepdim=True)
