"""Zero-shot tags: statistics, the early cut, groups, kinds, regions, and the file of text vectors."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError, WeightsError
from search import Recipe, Spread, normalize
from search.library_vectors import PhotoRegions
from search.tag_calibration import Curve, TagCalibration
from search.tag_judge import Kinship
from search.tag_model import OWN_SHARE, WEIGHTS, TagModel, generic_phrases, load_tag_model, spread_facts
from search.tag_regions import CROWDING, of_parts
from search.tag_statistics import blended, spread_of, statistics_of
from search.tagger import Tagger, TagOptions, load_tagger
from search.vocabulary import Group, Tag, Vocabulary
from search.vocabulary_file import load_vocabulary, parse_vocabulary

DIM, TAGS = 24, 12


class Counting:
    """Texts to rows that only depend on the text; counts how often it is asked."""

    side, batch_size = 8, 4

    def __init__(self, dim: int = DIM) -> None:
        self.recipe, self.asked = Recipe("counting", "0" * 64, "fp32", "none", dim), 0

    def encode_texts(self, texts: Sequence[str]) -> Any:
        self.asked += len(texts)
        seeds = [int.from_bytes(text.encode()[-8:], "little") for text in texts]
        return normalize(np.array([np.random.default_rng(seed).normal(size=self.recipe.dim) for seed in seeds]))

    def prepare(self, pixels: Any) -> Any:
        raise NotImplementedError

    encode_images = prepare


def words() -> Vocabulary:
    """Two kinds of animals below one tag, a group that excludes, and some more."""
    tags = (
        Tag("animal"), Tag("dog", parents=("animal",)), Tag("puppy", parents=("dog",)), Tag("cat", parents=("animal",)),
        Tag("day", "time of day"), Tag("night", "time of day"), *(Tag(f"thing {at}", "things") for at in range(TAGS - 6)),
    )  # fmt: skip
    return Vocabulary("test", (Group("tags"), Group("time of day", exclusive=True), Group("things")), tags)


def model(**weights: float) -> TagModel:
    own = {"z": 0.8, "frequency": 0.1, "breadth": 0.1, "spread": 0.1, "negative": 0.5, "kinds": 0.2, "bias": -0.5} | weights
    return TagModel(facts_of({"weights": own}, shares={"animal": 0.2}))


def tagger(seed: int = 0, vocabulary: Vocabulary | None = None, **weights: float) -> Tagger:
    random = np.random.default_rng(seed)
    vocabulary = vocabulary or words()
    texts, negatives, references = (normalize(random.normal(size=(count, DIM))) for count in (len(vocabulary), 4, 9))
    recipe = Recipe("test", "0" * 64, "fp32", "none", DIM)
    return Tagger(vocabulary, "test", recipe, texts, negatives, references, model(**weights), 0.2)


def photos(of: Tagger, count: int = 300, seed: int = 1) -> Any:
    """Unit rows around the tags' own."""
    random = np.random.default_rng(seed)
    return normalize(of.texts[random.integers(0, len(of.texts), count)] + random.normal(size=(count, DIM)) / 5)


def number(of: Tagger, name: str) -> int:
    return [tag.name for tag in of.vocabulary].index(name)


def exact(of: Tagger, rows: Any, statistics: Any, precision: float) -> dict[tuple[int, str], float]:
    """The definition in plain loops: tags of photos with their precision, without the number of tags being limited."""
    weights, names = of.model.weights, [tag.name for tag in of.vocabulary]
    found: dict[tuple[int, str], float] = {}
    for photo, row in enumerate(rows.astype(np.float64)):
        z = (of.texts @ row - statistics.mean) / statistics.deviation
        generic = statistics.unit / 2 * math.log(np.mean(np.exp(of.negatives @ row * 2 / statistics.unit)))
        odds = {}
        for at, name in enumerate(names):
            below = [z[number(of, kind.name)] for kind in of.vocabulary.under(name) if kind.name != name]
            ahead = (of.texts[at] @ row - generic) * 2 / statistics.unit
            odds[name] = (
                weights.z * z[at] + weights.frequency * of.frequencies[at] + weights.breadth * (statistics.mean[at] - statistics.centre) / statistics.width
                + weights.spread * math.log(statistics.deviation[at] / statistics.unit) - weights.negative * math.log1p(math.exp(-ahead))
                + weights.kinds * max(below, default=0.0) + weights.bias
            )  # fmt: skip
        shares = {name: 1 / (1 + math.exp(-value)) for name, value in odds.items()}
        both = 1 + math.exp(odds["day"]) + math.exp(odds["night"])
        shares |= {name: math.exp(odds[name]) / both for name in ("day", "night")}
        kept = {name: share for name, share in shares.items() if share >= precision}
        for name in list(kept):
            for above in of.vocabulary.ancestors(name):
                kept[above] = max(kept.get(above, 0.0), kept[name])
        if "day" in kept and "night" in kept:
            del kept[min("day", "night", key=kept.__getitem__)]
        found |= {(photo, name): share for name, share in kept.items()}
    return found


class TestJudge:
    @pytest.mark.parametrize("precision", [0.2, 0.5, 0.8])
    def test_the_early_cut_finds_exactly_what_the_definition_says(self, precision: float) -> None:
        one = tagger()
        rows = photos(one)
        statistics = one.fit([rows])
        found = one.tags(rows, statistics, TagOptions(precision, TAGS))
        ours = {(photo, tag.tag): tag.precision for photo, tags in enumerate(found) for tag in tags}
        wanted = exact(one, rows, statistics, precision)
        assert ours == pytest.approx(wanted, abs=2e-4)
        assert len(wanted) > 50

    def test_columns_are_those_of_smaller_batches(self) -> None:
        one = tagger()
        rows = photos(one, 2500)
        statistics = one.fit([rows])
        whole = one.columns(rows, statistics)
        parts = list(one.stream((rows[at : at + 700] for at in range(0, 2500, 700)), statistics))
        assert np.concatenate([part.photo + 700 * at for at, part in enumerate(parts)]).tolist() == whole.photo.tolist()
        assert np.concatenate([part.tag for part in parts]).tolist() == whole.tag.tolist()
        assert np.concatenate([part.precision for part in parts]) == pytest.approx(whole.precision, abs=1e-5)

    def test_similarity_and_z_are_those_of_the_tag(self) -> None:
        one = tagger()
        rows = photos(one, 40)
        statistics = one.fit([rows])
        columns = one.columns(rows, statistics, TagOptions(0.3))
        direct = np.array(
            [one.vocabulary.tags[tag].name not in ("animal", "dog") for tag in columns.tag]
        )  # those may show what they inherit
        similar = (rows @ one.texts.T)[columns.photo, columns.tag]
        assert columns.similarity[direct] == pytest.approx(similar[direct], abs=1e-5)
        z = (similar - statistics.mean[columns.tag]) / statistics.deviation[columns.tag]
        assert columns.z[direct] == pytest.approx(z[direct], abs=1e-3)
        assert direct.sum() > 10

    def test_most_keeps_the_likeliest(self) -> None:
        one = tagger(bias=3.0)
        rows = photos(one, 30)
        statistics = one.fit([rows])
        all_tags, few = (one.tags(rows, statistics, TagOptions(0.2, most)) for most in (TAGS, 2))
        assert max(map(len, all_tags)) > 2
        for every, two in zip(all_tags, few, strict=True):
            assert two == every[:2]
            assert [tag.precision for tag in every] == sorted((tag.precision for tag in every), reverse=True)

    def test_no_photos_are_no_tags(self) -> None:
        one = tagger()
        none = np.zeros((0, DIM), np.float32)
        assert one.tags(none, one.fit([none])) == []

    @pytest.mark.parametrize(("precision", "most"), [(0.0, 5), (1.0, 5), (float("nan"), 5), (0.5, 0)])
    def test_options_that_mean_nothing_are_refused(self, precision: float, most: int) -> None:
        with pytest.raises(InputError):
            TagOptions(precision, most)

    def test_a_closed_group_gives_each_photo_one_tag(self) -> None:
        closed = {"tags": ["night", "day"], "slope": 2.0, "biases": [0.0, 0.3]}
        one = tagger()
        one = replace(one, model=model())
        one.model.closed = TagModel(facts_of({"closed": [closed]})).closed
        rows = photos(one, 200)
        statistics = one.fit([rows])
        found = one.tags(rows, statistics, TagOptions(0.5, TAGS))
        day, night = number(one, "day"), number(one, "night")
        ahead = 2 * (rows @ (one.texts[day] - one.texts[night])) / statistics.unit + 0.3
        for row, tags in zip(ahead, found, strict=True):
            said = {tag.tag: tag.precision for tag in tags if tag.tag in ("day", "night")}
            assert said == pytest.approx({"day" if row > 0 else "night": 1 / (1 + math.exp(-abs(row)))}, abs=1e-3)

    def test_labels_move_a_tag_and_no_other(self) -> None:
        one = tagger()
        rows = photos(one)
        statistics = one.fit([rows])
        before = one.tags(rows, statistics, TagOptions(0.5, TAGS))
        strict = TagCalibration(tags={"thing 0": Curve(bias=-20.0), "thing 1": Curve(bias=20.0)})
        after = one.tags(rows, statistics, TagOptions(0.5, TAGS, strict))
        assert any(tag.tag == "thing 0" for tags in before for tag in tags)
        assert not any(tag.tag == "thing 0" for tags in after for tag in tags)
        assert sum(tag.tag == "thing 1" for tags in after for tag in tags) > 290
        others = [[tag for tag in tags if tag.tag not in ("thing 0", "thing 1")] for tags in before]
        assert [[tag for tag in tags if tag.tag not in ("thing 0", "thing 1")] for tags in after] == others


def facts_of(family: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    own = {"weights": dict.fromkeys(WEIGHTS, 1.0), "closed": []} | (family or {})
    none = Spread(10, np.zeros(DIM, np.float32), np.eye(DIM, dtype=np.float32))
    return {"families": {"builtin": own}, "shares": {}, "least_share": 0.01, "encoder": "no", "spread": spread_facts(none, 2)} | changed


class TestStatistics:
    def test_mean_and_deviation_are_exactly_those_of_all_similarities(self) -> None:
        one = tagger()
        rows = photos(one, 40_000)
        statistics = one.fit(rows[at : at + 999] for at in range(0, len(rows), 999))
        similar = rows.astype(np.float64) @ one.texts.T
        share = 40_000 / 40_050
        assert (statistics.deviation**2 - (1 - share) * 0.2**2) / share == pytest.approx(similar.var(0), rel=1e-3)
        assert statistics.mean == pytest.approx(similar.mean(0), abs=1e-3)
        assert statistics.count == 40_000

    def test_a_cached_spread_gives_the_same(self) -> None:
        one = tagger()
        rows = photos(one)
        assert one.statistics(Spread.of(rows)).mean == pytest.approx(one.fit([rows[:100], rows[100:]]).mean, abs=1e-6)

    def test_a_small_library_is_steadied_by_the_prior(self) -> None:
        one = tagger()
        prior = Spread.of(photos(one, 2000))
        few = photos(one, 1, seed=5)
        alone = statistics_of(Spread.of(few), one.texts, one.references, 0.2, prior)
        kinds = statistics_of(prior, one.texts, one.references, 0.2, prior)
        assert alone.deviation == pytest.approx(kinds.deviation, rel=0.1)
        assert np.abs(alone.mean - kinds.mean).max() < 0.05

    def test_blending_is_the_spread_of_both_together(self) -> None:
        one = tagger()
        first, second = photos(one, 70), photos(one, 50, seed=3) * -1
        both = Spread.of(np.concatenate([first, second]))
        mixed = blended(Spread.of(first), Spread.of(second), 50)
        assert mixed.mean == pytest.approx(both.mean, abs=1e-6)
        assert mixed.covariance == pytest.approx(both.covariance, abs=1e-6)

    @pytest.mark.parametrize("rows", [np.zeros((0, DIM), np.float32), np.tile(np.eye(1, DIM, dtype=np.float32), (500, 1))])
    def test_photos_that_do_not_differ_give_finite_figures(self, rows: Any) -> None:
        statistics = tagger().fit([rows])
        assert np.isfinite(statistics.mean).all()
        assert (statistics.deviation > 0).all()
        assert statistics.unit > 0

    def test_batches_of_half_precision(self) -> None:
        rows = photos(tagger()).astype(np.float16)
        assert spread_of([rows], DIM).mean == pytest.approx(rows.astype(np.float32).mean(0), abs=1e-5)


class TestRegions:
    def regions(self, one: Tagger, rows: Any, owners: Sequence[int], numbers: Sequence[int]) -> PhotoRegions:
        return PhotoRegions(np.asarray(rows, np.float32), np.array(owners, np.int64), np.array(numbers, np.int64))

    def test_a_region_is_evidence_where_the_photo_is_not(self) -> None:
        one = tagger()
        rows = photos(one)
        statistics = one.fit([rows])
        rows[0] = normalize(-one.texts[[1]])[0]
        thing = one.texts[number(one, "thing 2")]
        parts = self.regions(one, [thing, -thing], [0, 0], [3, 7])
        alone, both = one.tags(rows[:1], statistics)[0], one.tags(rows[:1], statistics, regions=parts)[0]
        assert "thing 2" not in [tag.tag for tag in alone]
        assert next(tag.region for tag in both if tag.tag == "thing 2") == 3
        assert {tag.tag for tag in alone} <= {tag.tag for tag in both}

    def test_more_regions_need_better_evidence(self) -> None:
        one = tagger()
        rows = photos(one)
        statistics = one.fit([rows])
        thing, other = one.texts[number(one, "thing 2")], -one.texts[number(one, "thing 2")]

        def precision(count: int) -> float:
            parts = self.regions(one, [thing] + [other] * (count - 1), [0] * count, range(count))
            return next(t.precision for t in one.tags(other[None], statistics, TagOptions(0.01), parts)[0] if t.tag == "thing 2")

        odds = [math.log(p / (1 - p)) for p in map(precision, (1, 4))]
        assert odds[0] - odds[1] == pytest.approx(CROWDING * math.log(5 / 2), abs=1e-3)

    def test_what_is_said_of_whole_photos_is_not_asked_of_regions(self) -> None:
        shipped = load_vocabulary("photo")
        parts = dict(zip([tag.name for tag in shipped], of_parts(shipped), strict=True))
        assert parts["dog"]
        assert not any(parts[name] for name in ("indoors", "night", "close-up", "black and white", "crowd"))
        one = tagger()
        rows = photos(one)
        statistics = one.fit([rows])
        night = one.texts[number(one, "night")]
        seen = one.tags(-night[None], statistics, TagOptions(0.01), self.regions(one, night[None], [0], [0]))[0]
        assert all(tag.region is None for tag in seen if tag.tag == "night")

    def test_photos_over_several_blocks_keep_their_regions(self) -> None:
        one = tagger()
        rows = photos(one, 1500)
        statistics = one.fit([rows])
        thing = one.texts[number(one, "thing 3")]
        parts = self.regions(one, [thing, thing], [2, 1400], [0, 5])
        found = one.tags(np.tile(-thing, (1500, 1)), statistics, regions=parts)
        assert {at: tag.region for at, tags in enumerate(found) for tag in tags if tag.tag == "thing 3"} == {2: 0, 1400: 5}


class TestTagger:
    def test_text_vectors_are_made_once(self, tmp_path: Path) -> None:
        encoder, vocabulary = Counting(), words()
        first = load_tagger(encoder, vocabulary, cache_folder=tmp_path / "cache")
        asked = encoder.asked
        again = load_tagger(encoder, vocabulary, cache_folder=tmp_path / "cache")
        assert (encoder.asked, asked > TAGS) == (asked, True)
        assert np.array_equal(first.texts, again.texts)
        assert np.array_equal(first.negatives, again.negatives)
        load_tagger(encoder, vocabulary, "plain", tmp_path / "cache")
        assert encoder.asked > asked
        assert len(list((tmp_path / "cache").iterdir())) == 2

    @pytest.mark.parametrize(
        "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:900] + bytes([data[900] ^ 255]) + data[901:]]
    )
    def test_a_damaged_file_is_made_anew(self, tmp_path: Path, damage: Any) -> None:
        whole = load_tagger(Counting(), words(), cache_folder=tmp_path)
        file = next(tmp_path.iterdir())
        file.write_bytes(damage(file.read_bytes()))
        encoder = Counting()
        assert np.array_equal(load_tagger(encoder, words(), cache_folder=tmp_path).texts, whole.texts)
        assert encoder.asked > 0
        assert [left.name for left in tmp_path.iterdir()] == [file.name]

    def test_a_folder_that_cannot_be_written_only_costs_time(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("no folder")
        assert len(load_tagger(Counting(), words(), cache_folder=tmp_path / "file" / "cache").texts) == TAGS

    def test_a_persons_own_words_are_expected_more_often_than_what_captions_never_name(self) -> None:
        own = parse_vocabulary("Rex\ndog\nocean\n", "mine", "mine.txt", as_yaml=False)
        shipped = load_tag_model()
        rex, dog, ocean = np.exp(shipped.frequencies(own))
        assert rex == pytest.approx(OWN_SHARE)
        assert dog == pytest.approx(shipped.shares["dog"])
        assert ocean == pytest.approx(shipped.shares["sea"])  # a synonym there
        assert rex > shipped.least

    def test_the_shipped_model(self) -> None:
        shipped, other = load_tag_model(), load_tag_model("clip")
        assert other.weights.z > shipped.weights.z  # a better encoder's similarities are worth more
        assert 20 <= len(generic_phrases()) == len(set(generic_phrases()))
        assert len(shipped.references) == 100
        assert shipped.prior("another encoder") is None
        assert all(load_vocabulary("photo").find(word) for word in shipped.references)

    @pytest.mark.parametrize(
        "facts", [{}, facts_of({"weights": {}}), facts_of(shares={"a": "many"}), facts_of({"weights": dict.fromkeys(WEIGHTS, -1.0)})]
    )
    def test_damaged_coefficients_are_refused(self, facts: dict[str, Any]) -> None:
        with pytest.raises(WeightsError):
            TagModel(json.loads(json.dumps(facts)))

    def test_kinds_come_before_what_they_are_kinds_of(self) -> None:
        kinship = Kinship.of(words())
        assert [list(below) for below in kinship.kinds.values()] == [[2], [1, 3]]
        assert kinship.above[2].tolist() == [1, 0]
        assert [group.tolist() for group in kinship.exclusive] == [[4, 5]]


def test_the_prior_is_the_spread_it_was_made_of() -> None:
    rows = photos(tagger(), 3000)
    spread = Spread.of(rows)
    known = TagModel(facts_of(encoder="mine", spread=spread_facts(spread, DIM))).prior("mine")
    assert known is not None
    assert known.mean == pytest.approx(spread.mean, abs=1e-3)
    assert known.covariance == pytest.approx(spread.covariance, abs=1e-3)
    fewer = TagModel(facts_of(encoder="mine", spread=spread_facts(spread, 3))).prior("mine")
    assert fewer is not None
    assert np.diag(fewer.covariance) == pytest.approx(np.diag(spread.covariance), abs=1e-3)
