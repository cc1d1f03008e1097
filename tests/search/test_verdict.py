from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess import QueryError
from search import EncoderOptions, Hit, Library, Query, Recipe, Store, Term, load_encoder, normalize, open_derived
from search.evidence import Evidence
from search.judging import Sentence
from search.judging import judge as judged_by
from search.null_model import NullModel, Shift
from search.verdict import CURVES, FAMILIES, HIT_PHOTOS, Cuts, Judge, null_family

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


def test_where_regions_are_searched_more_is_expected() -> None:
    shifts = tuple(Shift(0.01 * at, 1 + 0.1 * at) for at in range(6))
    for number, (within, kind) in enumerate((within, kind) for within in ("both", "regions") for kind in ("words", "picture", "other")):
        plain = replace(judge(kind=kind), null=replace(NULL, shifts=shifts))
        shifted = replace(plain, within=within)  # type: ignore[arg-type]
        mean, deviation = plain._expected(FAMILIES["unknown"], 0.3, 0.04, 1000, 1000)
        assert shifted._expected(FAMILIES["unknown"], 0.3, 0.04, 1000, 1000) == pytest.approx(
            (mean + 0.01 * number, deviation * (1 + 0.1 * number))
        )
        assert (mean, deviation) == judge(kind=kind)._expected(FAMILIES["unknown"], 0.3, 0.04, 1000, 1000)
    alone = replace(judge(), within="both")  # no region has told it
    assert float(alone.unusual(at(0.38))) == pytest.approx(2, abs=1e-4)


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


@pytest.mark.parametrize("kind", list(CURVES))
def test_a_photo_shows_what_it_shows_in_a_library_of_any_size(kind: Any) -> None:
    """However many were looked at, and however near the nearest of all are, the part of the library tells it."""
    similarities = np.linspace(0, 1, 20).astype(np.float32)
    plain = judge(kind=kind)
    large = replace(NULL, top_mean=0.6, score_mean=5.0, picture_mean=0.9, part=NULL)
    for photos in (HIT_PHOTOS, 50_000):
        same = judge(large, kind=kind, photos=photos)
        assert same.hits(similarities) == pytest.approx(plain.hits(similarities))
    assert (judge(large, kind=kind, photos=50_000).answer(similarities) < plain.answer(similarities)).all()


def test_few_photos_are_judged_among_themselves() -> None:
    similarities = np.linspace(0, 1, 20).astype(np.float32)
    small = judge(replace(NULL, count=50), photos=50)
    assert small.unusual_alone(similarities) == pytest.approx(small.unusual(similarities))
    some = judge(replace(NULL, count=300), photos=300)  # one part, so that what fewer would find is reckoned
    less = 0.30 - FAMILIES["unknown"].growth * np.log(300 / HIT_PHOTOS)
    assert float(some.unusual_alone(at(less))) == pytest.approx(0, abs=1e-4)


def test_an_answer_is_no_less_probable_than_a_hit(library: Library, fill: Callable[..., Store]) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 16))
    fill([f"{number:02}" for number in range(40)], vectors)
    derived = open_derived(library)
    query = normalize(vectors[:1])[0]

    class Unknown:
        recipe = Recipe("nobody", "0", "fp32", "none", 16)
        model = None

    evidence = Evidence(derived, query)
    ranked = evidence.ranked(5, None, "images")
    found = {}
    for name, null in (("small", NULL), ("large", replace(NULL, count=50_000, top_mean=1.2, part=NULL))):
        found[name] = judged_by(evidence, ranked, Query((Term("x"),)), null, Unknown(), 1000)  # type: ignore[arg-type]
        assert found[name].probability >= max(found[name].hits.values()) > 0.9
    assert found["large"].unusual < -5
    assert found["large"].probability == max(found["large"].hits.values())
    assert found["large"].hits == pytest.approx(found["small"].hits)


def test_cuts() -> None:
    assert [Cuts.at(50).verdict(value) for value in (0.19, 0.2, 0.54, 0.55)] == ["none", "weak", "weak", "strong"]
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


def test_copies_of_the_first_hit_are_called_what_it_is() -> None:
    hits = {0: 0.05, 1: 0.05, 2: 0.04}
    sentence = Sentence(0.5, 1.0, "weak", hits, Cuts.at(50), ("strong", "weak"))
    given = [(row, Hit("/photos", f"{row}.jpg", str(row), 0.3, 2.0, {})) for row in hits]
    assert [(hit.path, hit.verdict, hit.probability) for hit in sentence.judged(given)] == [
        ("0.jpg", "weak", 0.05),
        ("1.jpg", "weak", 0.05),
    ]
