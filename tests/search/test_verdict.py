from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess import QueryError
from search import EncoderOptions, Recipe, load_encoder
from search.null_model import NullModel
from search.verdict import CURVES, FAMILIES, Cuts, Judge, null_family

NULL = NullModel(1000, 0.30, 0.04, 3.0, 0.8, 0.6, 0.1)


def at(value: float) -> NDArray[np.float32]:
    return np.array(value, np.float32)


def judge(null: NullModel = NULL, family: str = "unknown", kind: Any = "words", photos: int = 1000) -> Judge:
    return Judge(null, family, kind, photos, 0.1, 0.05)


@pytest.mark.parametrize("kind", list(CURVES))
def test_nearer_is_more_probable(kind: Any) -> None:
    similarities = np.linspace(-1, 1, 50).astype(np.float32)
    for probabilities in (judge(kind=kind).answer(similarities), judge(kind=kind).hits(similarities)):
        assert (np.diff(probabilities) >= 0).all()
        assert probabilities[-1] > probabilities[0] + 0.3
        assert ((probabilities > 0) & (probabilities < 1)).all()


def test_unusual_is_counted_in_the_banks_deviations() -> None:
    assert float(judge().unusual(at(0.38))) == pytest.approx(2, abs=1e-4)
    assert float(judge(kind="picture").unusual(at(0.8))) == pytest.approx(2, abs=1e-4)


def test_standard_scores_have_no_unit() -> None:
    """Whatever scale the similarities of a sum of terms have, the verdict is the same."""
    one = Judge(NULL, "builtin", "other", 1000, 0.1, 0.05).unusual(at(0.4))
    other = Judge(NULL, "builtin", "other", 1000, 0.2, 0.10).unusual(at(0.8))
    assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_large_library_outweighs_the_prior(family: str) -> None:
    large = judge(replace(NULL, count=50_000), family, photos=50_000)
    weight = FAMILIES[family].weight / (FAMILIES[family].weight + 50_000)
    neutral = FAMILIES[family].base + FAMILIES[family].growth * np.log(50_000)
    assert float(large.unusual(at(0.30))) * 0.04 == pytest.approx(weight * (0.30 - neutral), abs=0.02)


def test_a_small_library_takes_the_prior() -> None:
    three = judge(replace(NULL, count=3, top_mean=0.9), "builtin", photos=3)
    expected = FAMILIES["builtin"].base + FAMILIES["builtin"].growth * np.log(3)
    assert float(three.unusual(at(expected))) == pytest.approx(0, abs=0.05)
    empty = judge(NullModel(0, *[0.0] * 6), photos=0)
    assert np.isfinite(empty.unusual(at(0.5)))


def test_fewer_photos_find_less() -> None:
    """A condition that leaves few photos lowers what is expected of them."""
    all_of_them, few = (judge(family="builtin", photos=count).unusual(at(0.35)) for count in (1000, 50))
    assert few > all_of_them + 1


def test_cuts() -> None:
    assert [Cuts.at(50).verdict(value) for value in (0.24, 0.25, 0.54, 0.55)] == ["none", "weak", "weak", "strong"]
    assert Cuts.at(0).verdict(0.0001) == "weak"
    weak = [Cuts.at(value).weak for value in range(101)]
    strong = [Cuts.at(value).strong for value in range(101)]
    assert weak == sorted(set(weak))
    assert all(low < high <= 1 for low, high in zip(weak, strong, strict=True))
    for wrong in (-1, 101):
        with pytest.raises(QueryError, match=r"0.*to 100"):
            Cuts.at(wrong)


@pytest.mark.parametrize(
    ("source", "family"),
    [
        ("open_clip:ViT-B-32/openai", "openai"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "laion"),
        ("open_clip:ViT-B-32-256/datacomp_s34b_b86k", "laion"),
        ("open_clip:ViT-L-14-quickgelu/dfn2b", "dfn"),
        ("open_clip:ViT-B-16-SigLIP2/webli", "siglip"),
        ("hub:immich-app/ViT-B-32__openai", "openai"),
        ("path:/models/mine", "unknown"),
    ],
)
def test_families_are_told_by_where_a_model_came_from(source: str, family: str) -> None:
    class Added:
        recipe = Recipe("mine", "0", "fp32", "none", 4)
        model = type("Facts", (), {"source": source, "arch": ""})

    assert null_family(Added()) == family  # type: ignore[arg-type]


def test_the_built_in_encoder_has_measured_values() -> None:
    assert FAMILIES[null_family(load_encoder("builtin", EncoderOptions(threads=1)))].measured
    assert [name for name, family in FAMILIES.items() if family.measured] == ["builtin"]
