"""What a build measures of pixels agrees with the slower measures, and tells a good frame from a bad one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from preprocess import MEASURED, measure, measure_for_build, picture_hash, real_photos


def scores(pixels: np.ndarray) -> dict[str, float]:
    return measure_for_build(np.ascontiguousarray(pixels)).scores


@pytest.mark.parametrize("number", range(4))
def test_the_measures_are_near_the_slower_ones(number: int) -> None:
    photo = real_photos()[number]
    quick, slow = scores(photo), measure(photo)
    for name, most in (("brightness", 0.01), ("contrast", 0.01), ("exposure", 0.03), ("highlights", 0.02), ("shadows", 0.02)):
        assert quick[f"measured_{name}"] == pytest.approx(getattr(slow, name), abs=most), name
    assert quick["measured_colourfulness"] == pytest.approx(slow.colourfulness, rel=0.1)
    assert measure_for_build(photo).hash == picture_hash(photo)


@pytest.mark.parametrize("number", range(4))
def test_a_blurred_frame_is_less_sharp_and_a_dark_one_less_well_exposed(number: int) -> None:
    photo = real_photos()[number]
    sharp = scores(photo)["measured_sharpness"]
    blurred = [scores(cv2.GaussianBlur(photo, (0, 0), sigma))["measured_sharpness"] for sigma in (1.5, 3, 6)]
    assert [sharp, *blurred] == sorted([sharp, *blurred], reverse=True)
    assert sharp > blurred[0] + 0.05
    assert scores((photo * 0.3).astype(np.uint8))["measured_exposure"] < scores(photo)["measured_exposure"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (15, 17), (40, 2000)])
@pytest.mark.parametrize("level", [0, 255])
def test_any_photo_has_finite_measures(shape: tuple[int, int], level: int) -> None:
    values = scores(np.full((*shape, 3), level, np.uint8))
    assert set(values) == {f"measured_{name}" for name in MEASURED}
    assert all(np.isfinite(value) for value in values.values())
    assert (values["measured_highlights"], values["measured_shadows"]) == (float(level == 255), float(level == 0))
