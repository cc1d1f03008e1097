from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import preprocess
from api.errors import CODES, codes
from preprocess import PellucidError, errors


def below(error: type[PellucidError]) -> Iterator[type[PellucidError]]:
    yield error
    for child in error.__subclasses__():
        yield from below(child)


ALL = list(below(PellucidError))


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_has_codes_and_a_place_in_the_tree(error: type[PellucidError]) -> None:
    exit_code, status = codes(error)
    assert 1 <= exit_code < 126  # 126 and more are the shell's
    assert 400 <= status < 600
    assert error.__module__ == "preprocess.errors"
    assert error.__doc__
    assert getattr(preprocess, error.__name__) is error


def test_the_tree_of_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn = re.findall(r"^([│ ]*)(?:[├└]── )?(\w+Error|\w+)  +\S", errors.__doc__ or "", re.MULTILINE)
    parents: dict[int, str] = {0: "PellucidError"}
    tree = {}
    for indent, name in drawn:
        depth = len(indent) // 4 + 1
        tree[name] = parents[depth - 1]
        parents[depth] = name
    assert tree == {error.__name__: error.__base__.__name__ for error in ALL if error is not PellucidError and error.__base__}


def test_a_child_has_the_codes_of_its_nearest_listed_parent() -> None:
    assert codes(preprocess.FilterError) == CODES[preprocess.InputError] == (2, 400)
    assert codes(preprocess.ImageCorrupt) == CODES[preprocess.ImageError]
    assert codes(preprocess.LibraryDamaged) == CODES[preprocess.LibraryError]
    assert codes(preprocess.LibraryBusy) != codes(preprocess.LibraryError)


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_the_command_line_ends_with_the_code_and_one_line(
    error: type[PellucidError], pellucid: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from api import wiring

    def fail(*_args: object, **_options: object) -> None:
        raise error("what, where\x1b[31m and the remedy")

    monkeypatch.setattr(wiring, "open_library", fail)
    ran = pellucid("stats")
    assert (ran.code, ran.out, ran.err) == (codes(error)[0], "", "pellucid: what, where\\x1b[31m and the remedy\n")
