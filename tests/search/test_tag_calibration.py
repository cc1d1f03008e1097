"""People's labels as corrections: curves, thresholds, and what is worth asking next."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import InputError
from search.tag_calibration import ENOUGH, Curve, TagCalibration, calibrate, isotonic, platt, uncertain


def drawn(count: int, slope: float, bias: float, seed: int = 0) -> list[tuple[float, bool]]:
    random = np.random.default_rng(seed)
    odds = random.normal(0, 1.5, count)
    right = random.random(count) < 1 / (1 + np.exp(-(slope * odds + bias)))
    return list(zip(odds.tolist(), right.tolist(), strict=True))


class TestCalibrate:
    def test_no_labels_change_nothing(self) -> None:
        none = calibrate({"dog": []})
        assert none == TagCalibration()
        assert none.refine(["dog"]) is None
        assert none.threshold("dog", 0.7) == pytest.approx(0.7, abs=1e-6)

    @pytest.mark.parametrize(("right", "lower"), [(True, True), (False, False)])
    def test_one_label_moves_a_little_and_many_move_much(self, right: bool, lower: bool) -> None:
        thresholds = [calibrate({"dog": [(0.5, right)] * count}).threshold("dog", 0.5) for count in (1, 5, 15)]
        assert thresholds == sorted(thresholds, reverse=lower)
        assert abs(thresholds[0] - 0.5) < 0.2 < abs(thresholds[2] - 0.5)

    def test_many_labels_find_the_curve_that_made_them(self) -> None:
        found = calibrate({"dog": drawn(4000, 1.3, -1.0)})
        odds = np.linspace(-2, 3, 11, dtype=np.float32)
        assert 1 / (1 + np.exp(-found.curve("dog").apply(odds))) == pytest.approx(1 / (1 + np.exp(-(1.3 * odds - 1.0))), abs=0.08)

    def test_what_holds_for_all_tags_is_learnt_for_those_without_labels(self) -> None:
        found = calibrate({f"tag {at}": drawn(12, 1.0, -1.5, at) for at in range(60)})
        assert found.everywhere.bias == pytest.approx(-1.5, abs=0.4)
        assert found.threshold("another", 0.5) > 0.7

    def test_one_bad_tag_does_not_spoil_the_others(self) -> None:
        found = calibrate({"statue": [(1.0, False)] * 500})
        assert found.threshold("statue", 0.5) > 0.9
        assert found.threshold("another", 0.5) < 0.85

    def test_steps_join_from_enough_labels_on(self) -> None:
        pairs = drawn(ENOUGH - 1, 1.0, 0.0)
        assert not calibrate({"dog": pairs}).curve("dog").steps
        more = calibrate({"dog": [*pairs, (0.3, True), (-0.2, False)]}).curve("dog")
        assert more.steps
        assert more.weight == pytest.approx(0.5, abs=0.02)
        assert not calibrate({"dog": [(odds, True) for odds, _ in drawn(50, 1, 0)]}).curve("dog").steps

    @given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=60))
    @settings(max_examples=60, deadline=None)
    def test_a_corrected_precision_never_falls_as_the_odds_rise(self, pairs: list[tuple[float, bool]]) -> None:
        curve = calibrate({"dog": pairs}).curve("dog")
        after = curve.apply(np.linspace(-8, 8, 200, dtype=np.float32))
        assert np.isfinite(after).all()
        assert (np.diff(after) >= -1e-4).all()

    @given(st.floats(0.05, 0.95), st.integers(0, 30))
    @settings(max_examples=40, deadline=None)
    def test_the_reach_is_where_the_precision_begins(self, precision: float, seed: int) -> None:
        found = calibrate({"dog": drawn(40, 1.0, 0.5, seed)})
        reach, wanted = found.reach(["dog"], precision)[0], np.log(precision / (1 - precision))
        grid = np.linspace(-12, 12, 2000, dtype=np.float32)
        assert (grid[found.curve("dog").apply(grid) >= wanted] >= reach - 1e-3).all()

    def test_corrections_survive_json(self) -> None:
        found = calibrate({"dog": drawn(60, 1.0, 0.5), "cat": [(0.0, False)]})
        assert TagCalibration.of(json.loads(json.dumps(found.as_dict()))) == found

    @pytest.mark.parametrize("facts", [{}, {"everywhere": {}, "tags": {}}, {"everywhere": None, "tags": 3}, []])
    def test_other_json_is_refused(self, facts: object) -> None:
        with pytest.raises(InputError, match="no corrections"):
            TagCalibration.of(facts)  # type: ignore[arg-type]

    def test_refining_uses_each_tags_own_curve(self) -> None:
        both = TagCalibration(Curve(bias=1.0), {"dog": Curve(bias=-2.0)})
        refine = both.refine(["cat", "dog"])
        assert refine is not None
        assert refine(np.array([0, 1, 0]), np.zeros(3, np.float32)).tolist() == [1.0, -2.0, 1.0]


class TestCurves:
    def test_platt_without_labels_is_what_it_starts_from(self) -> None:
        assert platt(np.zeros(0), np.zeros(0, bool), (0.7, -0.3), (0.5, 1.0)) == pytest.approx((0.7, -0.3))

    @given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=40))
    @settings(max_examples=60, deadline=None)
    def test_isotonic_rises_and_keeps_the_mean(self, pairs: list[tuple[int, bool]]) -> None:
        odds, right = np.array([float(o) for o, _ in pairs]), np.array([r for _, r in pairs])
        at, shares = np.array(isotonic(odds, right)).T
        assert (np.diff(shares) > 0).all()
        fitted = shares[np.searchsorted(at, odds, "right") - 1]
        assert fitted.sum() == pytest.approx(right.sum())


class TestUncertain:
    def test_nearest_to_one_half_first(self) -> None:
        rows = [("a", "dog", 0.9), ("b", "cat", 0.52), ("c", "sky", 0.7)]
        assert [tag for _, tag, _ in uncertain(rows, {})] == ["cat", "sky", "dog"]

    def test_tags_take_turns_and_labelled_ones_wait(self) -> None:
        rows = [(f"{at}", "dog", 0.5) for at in range(4)] + [("x", "cat", 0.6), ("y", "sky", 0.8)]
        order = [tag for _, tag, _ in uncertain(rows, {"sky": {"z": "confirmed"}})]
        assert order[:3] == ["dog", "cat", "dog"]
        assert sorted(order) == ["cat", "dog", "dog", "dog", "dog", "sky"]

    def test_what_has_a_label_is_not_asked_again(self) -> None:
        assert uncertain([("a", "dog", 0.5)], {"dog": {"a": "rejected"}}) == []
