"""A segmenter from a folder: segment.onnx and weights.json, which says how it is fed. Run by onnxruntime, whatever the photo's size.

A photo is brought to the size that the network knows, cut into overlapping tiles where it is larger than one, and its logits are brought back to the
photo's size before the best class is taken, so that outlines stay smooth. Logits are kept for one row of tiles at a time: memory grows with the
width of a photo, not with its height.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess import GraphOptions, InputError, RgbImage, WeightsError, check_file, normalised_planes, open_session

from .segment import GRAPH, Frame, SegmenterFacts, SegmenterOptions, SegmentMap, remedy
from .tiles import padded_length, tiled

_NUMBERS = 4_000_000  # of logits at the photo's size that are worked on at once: 16 MB


class OnnxSegmenter:
    """Photos to maps through onnxruntime. Nothing changes once it is made, so threads may share it."""

    def __init__(self, folder: Path, options: SegmenterOptions | None = None) -> None:
        """Open a folder.

        Raises:
            WeightsError: a file is missing or damaged, or the graph does not load.
            InputError: the options do not fit the graph.
        """
        options = options or SegmenterOptions()
        self.folder, self.facts = folder, SegmenterFacts.read(folder)
        self.frame = _framed(self.facts.frame, options)
        file, help_ = check_file(folder / GRAPH, self.facts.files[GRAPH], remedy(folder)), remedy(folder)
        # Memory would be kept of the largest tile, for every thread that ever called.
        self._session = open_session(file, GraphOptions(options.threads or os.cpu_count() or 1, hoard=False), file, help_)
        if self.frame.tensor not in [given.name for given in self._session.get_inputs()]:
            raise WeightsError(f"{folder / GRAPH} has no input {self.frame.tensor!r}, which weights.json names. {remedy(folder)}")

    @property
    def id(self) -> str:
        """Its name, and twelve digits of the hash over graph, labels and the way it is fed."""
        return f"{self.facts.name}-{self.facts.identity(self.frame)[:12]}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, by their number."""
        return self.facts.labels

    def segment(self, pixels: RgbImage) -> SegmentMap:
        """The map of a photo, UInt8["height width 3"], of the photo's size.

        Raises:
            InputError: `pixels` is not an 8-bit RGB picture, or is empty.
            WeightsError: the graph does not run, or does not give a number for each label.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise InputError(
                f"A segmenter takes 8-bit RGB of shape (height, width, 3), not {pixels.dtype} of shape {pixels.shape}. Use read_image."
            )
        height, width = pixels.shape[:2]
        classes, confidence = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
        small = _reduced(pixels, self.frame.short)
        for top, logits in enlarged(self.strips(small), small.shape[0], (height, width)):
            part = slice(top, top + logits.shape[1])
            classes[part], confidence[part] = best(logits)
        return SegmentMap(classes, confidence)

    def strips(self, pixels: RgbImage) -> Iterator[NDArray[np.float32]]:
        """Logits, Float32["label rows width"], from the top down, until all rows of `pixels` are there. They share memory: use one before the next."""
        frame = self.frame
        height, width = pixels.shape[:2]
        pixels = _padded(pixels, frame)
        down, across = (tiled(length, frame.tile, frame.overlap) for length in pixels.shape[:2])
        held = np.zeros((len(self.labels), down.tile, across.length), np.float32)
        for top, rows, step in zip(down.starts, down.weights, down.steps, strict=True):
            for left, columns in zip(across.starts, across.weights, strict=True):
                logits = self.logits(pixels[top : top + down.tile, left : left + across.tile])
                held[:, :, left : left + across.tile] += logits * (rows[:, None] * columns)
            finished = min(step, height - top)
            yield held[:, :finished, :width]
            held[:, : down.tile - step] = held[:, step:].copy()
            held[:, down.tile - step :] = 0

    def logits(self, pixels: RgbImage) -> NDArray[np.float32]:
        """Float32["label height width"] of a picture whose sides are multiples of the stride.

        Raises:
            WeightsError: the graph does not run, or does not give a number for each label and pixel.
        """
        fed = (
            np.ascontiguousarray(pixels)[None]
            if self.frame.layout == "pixels"
            else normalised_planes(pixels[None], self.frame.mean, self.frame.std)
        )
        try:
            found = self._session.run(None, {self.frame.tensor: fed})[0]
        except Exception as error:  # the runtime's own errors have no common parent
            raise WeightsError(f"{self.folder / GRAPH} does not run: {error}. {remedy(self.folder)}") from error
        wanted = (1, len(self.labels), *pixels.shape[:2])
        if found.shape != wanted:
            raise WeightsError(f"{self.folder / GRAPH} gives {found.shape} instead of {wanted}. {remedy(self.folder)}")
        logits = np.asarray(found[0], np.float32)
        if not np.isfinite(logits).all():
            raise WeightsError(f"{self.folder / GRAPH} gives what is not a number. {remedy(self.folder)}")
        return logits


def _framed(frame: Frame, options: SegmenterOptions) -> Frame:
    tile = frame.tile if options.tile is None else options.tile
    return replace(
        frame, short=frame.short if options.short is None else options.short, tile=tile, overlap=min(frame.overlap, max(0, tile // 2))
    )  # fmt: skip


def _reduced(pixels: RgbImage, short: int) -> RgbImage:
    """Brought down so that the short side has `short` pixels; itself where it has no more. Antialiased bilinear, as torchvision resizes."""
    height, width = pixels.shape[:2]
    if not short or min(height, width) <= short:
        return pixels
    scale = short / min(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size_wh, Image.Resampling.BILINEAR, reducing_gap=3.0))


def _padded(pixels: RgbImage, frame: Frame) -> RgbImage:
    """With the last row and column repeated, where a side is shorter than a tile and no multiple of the stride. Larger ones are cut into tiles that are."""
    height, width = pixels.shape[:2]
    more = [padded_length(side, frame.stride, frame.least) - side if side < frame.tile else 0 for side in (height, width)]
    return np.pad(pixels, ((0, more[0]), (0, more[1]), (0, 0)), "edge") if any(more) else pixels


def enlarged(
    strips: Iterator[NDArray[np.float32]], small: int, size_hw: tuple[int, int]
) -> Iterator[tuple[int, NDArray[np.float32]]]:  # fmt: skip
    """Strips that together have `small` rows, brought to `size_hw` by bilinear interpolation: the first row's number, and Float32["label rows width"].

    Pixels are squares, as for Pillow and for torch with `align_corners=False`: the centre of row y lies at (y + 0.5) · small / height - 0.5.
    """
    (height, width), scale = size_hw, small / size_hw[0]
    held, first, seen, top = np.empty((0, 0, 0), np.float32), 0, 0, 0
    for strip in strips:
        if scale == 1 and strip.shape[2] == width:
            yield top, strip
            top += strip.shape[1]
            continue
        seen += strip.shape[1]
        held = np.concatenate([held, strip], axis=1) if held.size else strip
        ready = height if seen >= small else max(top, int(np.floor((seen - 0.5) / scale - 0.5)))  # whose two rows have been seen
        rows = max(1, _NUMBERS // (held.shape[0] * width))
        for start in range(top, ready, rows):
            yield start, _between(held, first, seen - 1, np.arange(start, min(start + rows, ready)), scale, width)
        top = ready
        keep = min(max(first, int(np.floor((top + 0.5) * scale - 0.5))), seen - 1)
        held, first = held[:, keep - first :].copy(), keep


def _between(held: NDArray[np.float32], first: int, last: int, rows: NDArray[np.intp], scale: float, width: int) -> NDArray[np.float32]:
    """Rows of the photo from rows of logits, of which `held` has those from `first` to `last`."""
    place = np.clip((rows + 0.5) * scale - 0.5, first, last)
    low = np.minimum(place.astype(np.intp), max(first, last - 1))
    share = (place - low).astype(np.float32)[:, None]
    high = np.minimum(low + 1, last)
    mixed = held[:, low - first] * (1 - share) + held[:, high - first] * share
    size_wh = width, len(rows)
    return np.stack([np.asarray(Image.fromarray(plane).resize(size_wh, Image.Resampling.BILINEAR)) for plane in mixed])


def best(logits: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The class with the largest logit, and its probability in steps of 1/255, both UInt8["height width"], of Float32["label height width"].

    One label at a time, which needs memory for a few planes only.
    """
    most, classes = logits[0].copy(), np.zeros(logits.shape[1:], np.uint8)
    for number, plane in enumerate(logits[1:], 1):
        np.copyto(classes, number, where=plane > most)
        np.maximum(most, plane, out=most)
    total = np.zeros_like(most)
    for plane in logits:
        total += np.exp(plane - most)
    return classes, np.rint(255 / total).astype(np.uint8)
