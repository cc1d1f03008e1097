"""What a later run of tagging changes of an earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from preprocess import InputError

from .tag_layers import rows_of
from .tag_runs import RunDiff, TagRun
from .vocabulary import tag_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._lance import Tables

_TAG_BITS = 32  # of a photo and a tag in one integer


def run_diff(tables: Tables, earlier: TagRun, later: TagRun) -> RunDiff:
    """The tags that the later run has and the earlier one has not, and those that are the other way round among the photos that the later one looked at.

    Raises:
        InputError: one of them was retracted, so that its tags are gone.
    """
    digests: dict[str, int] = {}
    names: dict[str, str] = {}  # by key
    before, _ = _written(tables, earlier, digests, names)
    after, looked_at = _written(tables, later, digests, names)
    removed = np.setdiff1d(before, after)
    removed = removed[np.isin(removed >> _TAG_BITS, looked_at)]
    photos, tags = list(digests), list(names.values())

    def named(codes: NDArray[np.int64]) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for code in codes.tolist():
            found.setdefault(photos[code >> _TAG_BITS], []).append(tags[code & ((1 << _TAG_BITS) - 1)])
        return {digest: tuple(sorted(of_photo)) for digest, of_photo in sorted(found.items())}

    return RunDiff(named(np.setdiff1d(after, before)), named(removed))


def _written(
    tables: Tables, run: TagRun, digests: dict[str, int], names: dict[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Photo and tag of each tag that a run wrote, in one integer, and the photos that it looked at; what is new is added to the digests and names."""
    if run.state == "retracted":
        raise InputError(f"The tagging run {run.id} was retracted: its tags are gone. See: pellucid tags runs")
    codes, photos = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    places = {key: at for at, key in enumerate(names)}
    for batch in rows_of(tables, ["digest", "tag"], [run.id]):
        of, tag = (batch[name].dictionary_encode() for name in ("digest", "tag"))
        photo = _numbers(of.dictionary.to_pylist(), digests)[of.indices.to_numpy()]
        photos.append(np.unique(photo))
        if len(tag.dictionary):
            for name in tag.dictionary.to_pylist():
                names.setdefault(tag_key(name), name)
            number = _numbers(map(tag_key, tag.dictionary.to_pylist()), places)
            valid = tag.is_valid().to_numpy(zero_copy_only=False)
            codes.append(((photo << _TAG_BITS) | number[tag.indices.fill_null(0).to_numpy()])[valid])
    return np.unique(np.concatenate(codes)), np.unique(np.concatenate(photos))


def _numbers(words: Iterable[str], known: dict[str, int]) -> NDArray[np.int64]:
    return np.array([known.setdefault(word, len(known)) for word in words], np.int64)
