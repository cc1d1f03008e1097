"""Tags measured on folders with answers, and words found in captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError
from search import load_encoder
from search.tag_calibration import learn
from search.tag_evaluation import TagEvaluationOptions, average_precision, evaluate_tags, truth_of
from search.tag_words import UNSAID, NamedTags
from search.tagger import TagOptions, load_tagger
from search.vocabulary_file import load_vocabulary, parse_vocabulary

PHOTO = load_vocabulary("photo")
COLOURS = parse_vocabulary("red\ngreen\nblue\nyellow\n", "colours", "colours.txt", as_yaml=False)


class TestNamedTags:
    @pytest.mark.parametrize(
        ("text", "tags"),
        [
            ("", set()),
            ("Two DOGS eat hot dogs.", {"dog", "hot dog"}),
            ("a corgi-dog on a lawn", {"corgi", "dog", "lawn"}),
            ("women at the oceans", {"woman", "sea"}),
            ("a jack-o'-lantern", {"jack-o'-lantern"}),
            ("a jack-o’-lantern", {"jack-o'-lantern"}),
            ("catalogue dogma seahorses", {"seahorse"}),
        ],
    )
    def test_words_in_texts(self, text: str, tags: set[str]) -> None:
        assert NamedTags(PHOTO).named(text) == tags

    def test_every_tag_names_itself(self) -> None:
        named = NamedTags(PHOTO)
        assert [tag.name for tag in PHOTO if tag.name not in named.named(tag.name)] == []

    def test_labels_hold_what_they_are_a_kind_of(self) -> None:
        assert {"corgi", "dog", "pet", "mammal", "animal"} <= NamedTags(PHOTO).labels(["a corgi"])

    def test_groups_that_captions_leave_out_exist(self) -> None:
        assert {group.name for group in PHOTO.groups} >= UNSAID


def test_average_precision_counts_equal_scores_against_itself() -> None:
    assert average_precision(np.array([0.9, 0.1]), np.array([True, False])) == 1
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == 0.25


def test_truth_knows_less_of_classes_than_of_captions() -> None:
    texts = [["a dog"], ["a red car"]]
    captions, classes = (truth_of(PHOTO, texts, complete=complete) for complete in (True, False))
    names = [tag.name for tag in PHOTO]
    assert captions.known.sum() > 900 > classes.known.sum()
    assert not captions.known[names.index("red")]
    assert captions.right[0, names.index("animal")]
    assert captions.right[1, names.index("car")]
    assert not classes.known[names.index("cat")]


@pytest.fixture
def classes(tmp_path: Path, paint: Any) -> Path:
    for colour in ("red", "green", "blue"):
        for seed in range(6):
            paint(tmp_path / "set" / colour / f"{seed}.png", colour, seed=seed)
    return tmp_path / "set"


def test_class_folders_are_measured(classes: Path, encoder: Any) -> None:
    options = TagEvaluationOptions(COLOURS, "plain", TagOptions(0.3))
    found = evaluate_tags(classes, encoder, options)
    assert (found["photos"], found["tags"], found["vocabulary"]) == (18, 3, "colours")
    assert found["mean_average_precision"] == 1.0
    assert found["by_chance"] == pytest.approx(1 / 3, abs=1e-3)
    assert found["precision"] is None or found["precision"] >= 0.5
    assert json.loads(json.dumps(found)) == found


def test_captions_are_measured(tmp_path: Path, paint: Any, encoder: Any) -> None:
    lines = []
    for seed in range(6):
        for colour in ("red", "blue"):
            paint(tmp_path / f"{colour}{seed}.png", colour, seed=seed)
            lines.append(json.dumps({"image": f"{colour}{seed}.png", "captions": [f"something {colour}"]}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    found = evaluate_tags(tmp_path, encoder, TagEvaluationOptions(COLOURS, "plain"))
    assert (found["photos"], found["tags"], found["mean_average_precision"]) == (12, 2, 1.0)


def test_a_folder_that_names_no_tag_is_refused(tmp_path: Path, paint: Any, encoder: Any) -> None:
    paint(tmp_path / "xyzzy" / "a.png")
    with pytest.raises(InputError, match="names a tag"):
        evaluate_tags(tmp_path, encoder, TagEvaluationOptions(COLOURS, "plain"))


def test_labels_of_a_store_teach_a_tag(encoder: Any, classes: Path) -> None:
    tagger = load_tagger(encoder, COLOURS, "plain")
    vectors = encoder.encode_texts(["red"] * 6 + ["green"] * 6)
    statistics = tagger.fit([vectors])
    labels = {"RED": {f"{at}": "rejected" for at in range(6)}, "no such tag": {"0": "confirmed"}, "green": {"elsewhere": "confirmed"}}
    found = learn(tagger, statistics, labels, [f"{at}" for at in range(12)], vectors)
    assert set(found.tags) == {"red"}
    assert found.threshold("red", 0.5) > 0.6


def test_the_default_cut_is_mostly_right_on_real_photos(shared: Any, tmp_path: Path) -> None:
    folder = shared("eval/retrieval-flickr")
    rows = [json.loads(line) for line in (folder / "captions.jsonl").read_text().splitlines()[:80]]
    (tmp_path / "captions.jsonl").write_text("\n".join(json.dumps(row | {"image": str(folder / row["image"])}) for row in rows))
    some = PHOTO.selected(["setting", "natural scenes", "people", "animals", "sports"])
    found = evaluate_tags(tmp_path, load_encoder(), TagEvaluationOptions(some, "one"))
    assert found["precision"] > 0.5  # captions leave out most of what there is: a lower bound
    assert found["mean_average_precision"] > 3 * found["by_chance"]
    assert found["tags_a_photo"] > 0.2
