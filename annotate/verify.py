"""Is a segmenter's folder whole, and does it name what it named on the day it was added?"""

from __future__ import annotations

from pathlib import Path

from preprocess import Fault, PellucidError, WeightsError, example_photos, file_faults

from .segment import SegmenterFacts, SegmenterOptions, open_segmenter, remedy

_PLACES = 16  # of a grid's side: 256 pixels of the example photo whose classes are kept
_AGREEMENT = 0.95
"""Share of these places that must be named as on the day the segmenter was added. A sound runtime names all but those on the edge between two classes
alike; another resizing or normalisation moves every outline."""


def find_segmenter_faults(folder: Path) -> list[Fault]:
    """What is wrong with a segmenter's folder: facts that do not read, files whose sha256 is another, a graph that does not load or run, or classes of
    an example photo that are others than on the day it was added. Empty when all is well."""
    help_ = remedy(folder)
    try:
        facts = SegmenterFacts.read(folder)
    except WeightsError as error:
        return [Fault(folder / "weights.json", str(error.__cause__ or error).rstrip("."), help_)]
    if wrong := file_faults(folder, facts.files, help_):
        return wrong
    try:
        found, expected = probe_of(folder), facts.measured.get("probe")
    except PellucidError as error:
        return [Fault(folder, str(error).removesuffix(help_).strip().rstrip("."), help_)]
    if expected is None:
        return []
    same = sum(ours == theirs for ours, theirs in zip(found, expected, strict=False)) / len(found)
    if same >= _AGREEMENT:
        return []
    return [Fault(folder, f"it names {1 - same:.0%} of an example photo otherwise than on the day it was added", help_)]


def probe_of(folder: Path) -> list[int]:
    """The classes of an example photo that is the same on every machine, at 16 × 16 places evenly spread, row by row."""
    pixels = example_photos(1)[0]
    classes = open_segmenter(folder, SegmenterOptions(threads=1)).segment(pixels).classes
    rows, columns = ([(2 * place + 1) * side // (2 * _PLACES) for place in range(_PLACES)] for side in classes.shape)
    return [int(classes[row, column]) for row in rows for column in columns]
