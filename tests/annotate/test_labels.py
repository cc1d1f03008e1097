"""Label sets: words, ids, colours, kinds, and their JSON."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.labels import NOTHING, Label, LabelSet
from annotate.palette import _VISIONS, OKABE_ITO, _scrambled, _seen, colour_for, colours_for, contrast_ratio, ink_on
from preprocess import InputError, UnknownName

ROADS = LabelSet.of(
    ["sky", "building", "road", "traffic-light", "car", "truck"],
    aliases={"car": ["automobile", "Auto"], "building": ["house"]},
    parents={"car": "vehicle", "truck": "vehicle", "road": "ground", "traffic-light": "object"},
)
RED: tuple[int, int, int] = (200, 0, 0)


def colour_distance(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """How different two colours look, in OKLab, to those of normal, red-blind and green-blind sight who see the least difference."""
    return float(np.linalg.norm(_seen(np.array([a])) - _seen(np.array([b])), axis=-1).min())


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("car", "car"),
        (" CAR ", "car"),
        ("auto", "car"),
        ("Traffic  Light", "traffic-light"),
        ("traffic_light", "traffic-light"),
        ("House", "building"),
    ],
)
def test_words_are_found(word: str, name: str) -> None:
    assert ROADS.named(word).name == name
    assert ROADS.find(word) == ROADS.named(name)
    assert ROADS.numbered(ROADS.named(word).id).name == name


def test_words_that_are_not_there() -> None:
    assert ROADS.find("vehicle") is None  # a category, not a label
    with pytest.raises(UnknownName, match=r"No label named 'trunk'\. Did you mean 'truck'\?"):
        ROADS.named("trunk")
    with pytest.raises(InputError, match=r"No label has id 9; there are 0 \(sky\)"):
        ROADS.numbered(9)


def test_categories() -> None:
    assert [ROADS.category(label.name) for label in ROADS] == ["sky", "building", "ground", "object", "vehicle", "vehicle"]
    assert ROADS.under("vehicle") == ("car", "truck")
    assert ROADS.under("Automobile") == ("car",)
    assert ROADS.under("dog") == ()
    names, table = ROADS.categories()
    assert names == ("sky", "building", "ground", "object", "vehicle")
    classes = np.array([[0, 4, 5], [3, NOTHING, 2]], np.uint8)
    assert table[classes].tolist() == [[0, 4, 4], [3, NOTHING, 2]]


def test_a_parent_can_be_a_label_with_a_parent() -> None:
    labels = LabelSet.of(["animal", "dog", "poodle"], parents={"poodle": "Dog", "dog": "animal", "animal": "living thing"})
    assert labels.category("poodle") == "living thing"
    assert labels.under("dog") == ("dog", "poodle")
    assert labels.under("living-thing") == ("animal", "dog", "poodle")
    with pytest.raises(InputError, match="a kind of itself"):
        LabelSet.of(["a", "b"], parents={"a": "b", "b": "a"})


def test_ids_skip_the_one_that_means_nothing() -> None:
    labels = LabelSet.of([f"class {number}" for number in range(300)])
    assert NOTHING not in {label.id for label in labels}
    assert len({label.id for label in labels}) == len(labels) == 300
    with pytest.raises(InputError, match="0-254"):
        labels.categories()


def test_more_labels_change_nothing_about_those_that_are_there() -> None:
    more = ROADS.extended(["dog", "cat", "tree"], parents={"dog": "animal"})
    assert more.labels[:6] == ROADS.labels
    assert [label.id for label in more] == list(range(9))
    assert more.category("dog") == "animal"
    assert more == LabelSet(ROADS.labels).extended(["dog"], parents={"dog": "animal"}).extended(["cat", "tree"])


def test_colours() -> None:
    labels = LabelSet.of([f"class {number}" for number in range(21)])
    colours = [label.colour for label in labels]
    assert tuple(colours[:7]) == OKABE_ITO
    assert min(colour_distance(a, b) for a, b in itertools.combinations(colours, 2)) >= 0.06
    assert labels.colour("class_3") == colours[3]
    other = labels.colour("unheard of")
    assert other == labels.colour("Unheard-of")
    assert other not in colours


def test_colours_are_decided_by_names() -> None:
    assert colour_for("dog") == colour_for("dog")
    assert len({colour_for(f"word {number}") for number in range(60)}) > 40


@pytest.mark.parametrize("name", ["dog", "", "été"])
def test_the_order_of_candidates_is_the_same_on_all_machines(name: str) -> None:
    """splitmix64 once more, in numbers of any size, as its paper has it."""
    state, expected = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"), []
    for _ in range(20):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        expected.append(z ^ z >> 31)
    assert _scrambled(name, 20).tolist() == expected


def test_hundreds_of_colours_are_all_different() -> None:
    colours = colours_for([str(number) for number in range(400)])
    assert len(set(colours)) == 400
    assert len(colours_for([str(number) for number in range(700)])) == 700  # more than there are


def test_dichromats_see_two_dimensions_and_white_as_white() -> None:
    assert np.linalg.matrix_rank(_VISIONS, tol=1e-5).tolist() == [3, 2, 2]
    np.testing.assert_allclose(_VISIONS.sum(2), 1, atol=2e-6)


def test_what_red_blind_people_confuse_is_near() -> None:
    normal = colour_distance((255, 255, 255), (0, 0, 0))
    assert normal == pytest.approx(1, abs=1e-3)
    assert colour_distance((170, 0, 0), (90, 70, 0)) < 0.1 < np.linalg.norm(np.subtract((170, 0, 0), (90, 70, 0))) / 255
    assert colour_distance(RED, RED) == 0


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_ink_can_always_be_read(colour: tuple[int, int, int]) -> None:
    assert contrast_ratio(colour, ink_on(colour)) >= 4.5
    assert contrast_ratio(ink_on(colour), colour) == contrast_ratio(colour, ink_on(colour))


def test_contrast_of_known_pairs() -> None:
    assert contrast_ratio((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert contrast_ratio((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)  # #777 on white just fails, as is well known


def plain(word: str) -> str:
    return " ".join(word.replace("_", " ").replace("-", " ").casefold().split())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8).filter(plain), max_size=9, unique_by=plain))
def test_json_comes_back(names: list[str]) -> None:
    aliases = {name: ["other word for " + name] for name in names[::2]}
    labels = LabelSet.of(names, aliases=aliases, parents=dict.fromkeys(names[::3], "kind of thing"))
    assert LabelSet.from_json(labels.to_json()) == labels
    assert hash(labels) == hash(LabelSet.from_json(labels.to_json()))


def test_json_by_hand() -> None:
    text = '{"labels": [{"id": 7, "name": "chien", "colour": "#E69F00"}, {"id": 90, "name": "chat"}]}'
    dog, cat = LabelSet.from_json(text)
    assert dog == Label(7, "chien", (230, 159, 0))
    assert cat.id == 90
    assert cat.colour == OKABE_ITO[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "of the form"),
        ({"labels": {}}, "of the form"),
        ({"labels": [], "name": "x"}, "of the form"),
        ({"labels": ["sky"]}, "needs an id and a name"),
        ({"labels": [{"id": 0}]}, "needs an id and a name"),
        ({"labels": [{"id": 0, "name": "sky", "color": "#000000"}]}, "a field 'color'; there are id, name, colour"),
        ({"labels": [{"id": "0", "name": "sky"}]}, "The id of label 0"),
        ({"labels": [{"id": True, "name": "sky"}]}, "The id of label 0"),
        ({"labels": [{"id": 0, "name": "sky", "aliases": [1]}]}, "The aliases of label 0"),
        ({"labels": [{"id": 0, "name": "sky", "aliases": "heaven"}]}, "The aliases of label 0"),
        ({"labels": [{"id": 0, "name": "sky", "colour": "blue"}]}, "write it as #e69f00"),
        ({"labels": [{"id": 0, "name": "sky", "parent": None}]}, "The parent of label 0"),
        ({"labels": [{"id": -1, "name": "sky"}]}, "cannot have id -1"),
        ({"labels": [{"id": 255, "name": "sky"}]}, "cannot have id 255"),
        ({"labels": [{"id": 0, "name": "sky"}, {"id": 0, "name": "road"}]}, "same id"),
        ({"labels": [{"id": 0, "name": "sky"}, {"id": 1, "name": "SKY"}]}, "stands for both"),
        ({"labels": [{"id": 0, "name": "sky"}, {"id": 1, "name": "road", "aliases": ["Sky"]}]}, "stands for both"),
        ({"labels": [{"id": 0, "name": " "}]}, "empty name"),
        ({"labels": [{"id": 0, "name": "sky", "aliases": ["_"]}]}, "empty name, alias"),
    ],
)
def test_what_is_no_label_set(content: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        LabelSet.from_json(json.dumps(content))


def test_what_is_no_json() -> None:
    with pytest.raises(InputError, match=r"is not JSON: .* line 1"):
        LabelSet.from_json("{labels")


def test_faults_in_python() -> None:
    with pytest.raises(InputError, match="'lorry', which is not one of the names"):
        LabelSet.of(["car"], aliases={"lorry": ["truck"]})
    with pytest.raises(InputError, match="not red, green and blue"):
        Label(0, "sky", (0, 0, 256))
