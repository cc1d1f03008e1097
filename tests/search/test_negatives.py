from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer import BuildOptions, build
from preprocess import QueryError
from search import Encoder, Library, Query, Store, Term, answer, open_derived, parse_terms
from search.negatives import EVIDENCE, evidence_of, excluded


@pytest.mark.parametrize(
    ("words", "among"),
    [
        ("people", {"person", "persons", "man", "men", "woman", "women", "pedestrian", "pedestrians"}),
        ("Person", {"person", "people", "crowd"}),
        ("dogs", {"dog", "dogs", "pet"}),
        ("bikes", {"bicycle", "bicycles"}),
        ("cherry", {"cherry", "cherries"}),
        ("cherries", {"cherry", "cherries"}),
        ("boxes", {"box", "boxes"}),
        ("Traffic_Light", {"traffic light", "traffic lights"}),
    ],
)
def test_what_is_evidence(words: str, among: set[str]) -> None:
    assert among <= set(evidence_of(words))


def test_what_is_none() -> None:
    assert not {"dog", "cat", "car"} & set(evidence_of("people"))
    assert "woman" not in evidence_of("man")
    assert "cat" not in evidence_of("dog")
    assert "glas" not in evidence_of("glass")
    with pytest.raises(QueryError, match="says nothing"):
        evidence_of(" - ")


def test_every_group_is_evidence_of_its_own_name() -> None:
    for name, found in EVIDENCE.items():
        assert found[0] in evidence_of(name)
        assert set(evidence_of(name)) >= set(found)


def test_terms_are_taken_apart() -> None:
    terms, without = parse_terms(["a beach", "-people", "without:dogs", " WITHOUT: the sea"])
    assert [term.text for term in terms] == ["a beach", "people"]
    assert without == ("dogs", "the sea")
    assert parse_terms(["a man without: a hat"])[1] == ()
    with pytest.raises(QueryError, match="says nothing"):
        parse_terms(["a beach", "without:"])
    with pytest.raises(QueryError, match="at least one term"):
        Query(*parse_terms(["without:people"])[:1], without=("people",))


@pytest.fixture
def halved(library: Library, photos: Path, encoder: Encoder, halves: object) -> Library:
    """Photos whose halves are regions, labelled by their colour."""
    build(library, [photos], encoder, BuildOptions(regions="halves"))
    return library


def ask(library: Library, encoder: Encoder, *without: str, where: str | None = None) -> list[str]:
    return [hit.path for hit in answer(library, Query((Term("red"),), 20, where, without=without), encoder).hits]


def test_photos_with_that_region_are_left_out(halved: Library, encoder: Encoder) -> None:
    everything = ask(halved, encoder)
    assert {"red.png", "green.png", "blue.png"} <= set(everything)
    assert set(ask(halved, encoder, "green")) == set(everything) - {"green.png"}
    assert set(ask(halved, encoder, "GREENS", "blue")) == set(everything) - {"green.png", "blue.png"}
    assert ask(halved, encoder, "green", where="path like 'g%'") == [path for path in everything if path == "grey.png"]
    assert ask(halved, encoder, "green", where="region.label = 'green'") == []


def test_labels_are_compared_as_tags_are(halved: Library, encoder: Encoder) -> None:
    derived = open_derived(halved)
    derived.close()
    with sqlite3.connect(derived.folder / "rows.sqlite") as rows:
        rows.execute("UPDATE regions SET label = 'Traffic_Light' WHERE label = 'green'")
    assert "green.png" not in ask(halved, encoder, "traffic lights")


def test_what_is_not_there_leaves_nothing_out_and_says_so(halved: Library, encoder: Encoder) -> None:
    found = answer(halved, Query((Term("red"),), 20, without=("unicorn",)), encoder)
    assert found.note is not None
    assert "says 'unicorn', so without:unicorn leaves nothing out" in found.note
    assert "green" in found.note
    assert len(found.hits) == len(ask(halved, encoder))


def test_without_evidence_it_is_refused_with_the_remedy(library: Library, photos: Path, encoder: Encoder) -> None:
    build(library, [photos], encoder)
    with pytest.raises(QueryError, match=r"--regions builtin.*pellucid tag.*write -people"):
        ask(library, encoder, "people")


def test_a_tag_is_evidence(library: Library, fill: Callable[..., Store]) -> None:
    store = fill(["aa", "bb", "cc"], [[1, 0], [0, 1], [1, 1]])
    with library.locked("test"):
        store.marks.label("bb", "people", "confirmed")
        store.marks.label("cc", "beach", "confirmed")
    derived = open_derived(library)
    try:
        assert excluded(derived.database, ["person"]).photos.tolist() == [1]
        assert excluded(derived.database, ["person", "beaches"]).photos.tolist() == [1, 2]
        assert excluded(derived.database, ["dog"]).note is not None
    finally:
        derived.close()
