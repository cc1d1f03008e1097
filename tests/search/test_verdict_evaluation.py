from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess import InputError
from search import Encoder, EncoderOptions, evaluate_verdicts, load_encoder, normalize
from search.null_model import level
from search.verdict_evaluation import Library, alike, area, calibration_error, content_words, f1

COLOURS = ("red", "green", "blue", "yellow", "cyan", "magenta")


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.3001, 0.7]), st.booleans()), min_size=2, max_size=30))
def test_area_is_how_often_a_right_one_is_larger(pairs: list[tuple[float, bool]]) -> None:
    values, right = np.array([value for value, _ in pairs]), np.array([good for _, good in pairs])
    if right.all() or not right.any():
        assert area(values, right) == 0.5
        return
    compared = [(a > b) + 0.5 * (a == b) for a in values[right] for b in values[~right]]
    assert area(values, right) == pytest.approx(np.mean(compared))


def test_calibration_error_is_the_gap() -> None:
    right = np.array([True, False, True, False])
    assert calibration_error(np.full(4, 0.5), right, np.ones(4)) == pytest.approx(0)
    assert calibration_error(np.full(4, 0.9), right, np.ones(4)) == pytest.approx(0.4)
    assert calibration_error(np.array([1.0, 0.0, 1.0, 0.0]), right, np.ones(4)) == pytest.approx(0)
    assert calibration_error(np.array([0.0, 1.0, 0.0, 1.0]), right, np.ones(4)) == pytest.approx(1)


def test_f1() -> None:
    right = np.array([True, True, False, False])
    assert f1(np.array([True, True, False, False]), right, np.ones(4)) == 1
    assert f1(np.array([True, False, True, False]), right, np.ones(4)) == pytest.approx(0.5)
    assert f1(np.zeros(4, bool), right, np.ones(4)) == 0


def test_alike_are_those_that_share_a_word_with_a_caption() -> None:
    texts = ["a dog on a beach", "two dogs playing", "a cat", "a sandy beach", *[f"thing{chr(97 + at)}" for at in range(30)]]
    owners = np.array([0, 1, 1, 2, *range(3, 33)])
    removed = [set(one.tolist()) for one in alike(texts, owners, 33)]
    assert removed[0] == {0, 1, 2}
    assert removed[1] == {0, 1}
    assert removed[2] == {1}
    assert removed[4] == {3}
    assert content_words("The man is on the top of it") == {"man"}


@pytest.fixture
def captioned(tmp_path: Path, paint: Callable[..., Path]) -> Path:
    lines = []
    for name in COLOURS:
        for at in range(6):
            paint(tmp_path / "captioned" / f"{name}{at}.png", name, size=(20 + at, 16))
            lines.append(json.dumps({"image": f"{name}{at}.png", "captions": [f"a {name} thing"]}))
    (tmp_path / "captioned" / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "captioned"


def test_an_encoder_that_knows_is_told_apart(captioned: Path, encoder: Encoder) -> None:
    facts = evaluate_verdicts(captioned, encoder)
    assert (facts["photos"], facts["queries"], facts["family"]) == (36, 36, "unknown")
    assert facts["photo_removed"]["auc"] == pytest.approx(0.5, abs=0.05)  # five others look the same
    for figures in (facts["photo_removed"], facts["alike_removed"]):
        assert 0 <= figures["calibration_error"] <= 1
        assert figures["auc_bound"] >= 0.5


def test_classes(tmp_path: Path, paint: Callable[..., Path], encoder: Encoder) -> None:
    for name in COLOURS:
        for at in range(6):
            paint(tmp_path / "classes" / name / f"{at}.png", name, size=(20 + at, 16))
    facts = evaluate_verdicts(tmp_path / "classes", encoder)
    assert facts["class_removed"]["auc"] > 0.9
    assert facts["class_absent"]["auc"] > 0.9
    assert facts["hits"]["auc"] > 0.9
    assert facts["class_removed"]["unchanged"] == 0
    assert facts["class_removed"]["f1"] <= 1


def test_an_answer_is_no_less_probable_than_a_hit() -> None:
    """In large libraries of random rows the nearest are as near as expected, and nearer than what is expected of 250."""
    random = np.random.default_rng(0)
    library = Library.of(normalize(random.normal(size=(6000, 6))), normalize(random.normal(size=(30, 6))), "unknown")
    raised = 0
    for query in normalize(random.normal(size=(20, 6))):
        asked = library.ask(query)
        hits, answer = asked.judge.hits(asked.similarities), float(asked.judge.answer(level(asked.similarities)))
        assert asked.probability == max(answer, hits.max())
        raised += asked.probability > answer
    assert raised > 0


def test_a_folder_of_neither(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(InputError):
        evaluate_verdicts(tmp_path, encoder)


def test_one_class_or_photo_cannot_be_taken_out(tmp_path: Path, paint: Callable[..., Path], encoder: Encoder) -> None:
    paint(tmp_path / "classes" / "red" / "1.png", (255, 0, 0))
    with pytest.raises(InputError, match="has one class, 'red'"):
        evaluate_verdicts(tmp_path / "classes", encoder)
    paint(tmp_path / "captions" / "1.png", (255, 0, 0))
    (tmp_path / "captions" / "captions.jsonl").write_text('{"image": "1.png", "captions": ["red"]}')
    with pytest.raises(InputError, match="has one photo"):
        evaluate_verdicts(tmp_path / "captions", encoder)


def test_on_real_photos(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """60 captioned photos: what stands in docs/verdicts.md of all 250, with some room."""
    folder = shared("eval/retrieval-coco")
    lines = (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    for line in lines:
        (tmp_path / json.loads(line)["image"]).symlink_to(folder / json.loads(line)["image"])
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    facts = evaluate_verdicts(tmp_path, load_encoder("builtin", EncoderOptions(threads=1)))
    assert facts["alike_removed"]["auc"] > 0.55
    assert facts["alike_removed"]["calibration_error"] < 0.3
    assert 0.3 < facts["photo_removed"]["unchanged"] < 0.9
