from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess import QueryError
from search import Query, Spread, Term, combine, normalize

TERMS = [
    ("dog", Term("dog")),
    ("  a dog on a beach ", Term("a dog on a beach")),
    ("2:red car", Term("red car", 2.0)),
    ("0.5:dog", Term("dog", 0.5)),
    (".5:dog", Term("dog", 0.5)),
    ("+2:dog", Term("dog", 2.0)),
    ("-people", Term("people", -1.0)),
    ("- people", Term("people", -1.0)),
    ("-2:people", Term("people", -2.0)),
    ("-0.5:people", Term("people", -0.5)),
    ("well-known man", Term("well-known man")),
    ("note: a dog", Term("note: a dog")),
    ("2: dog", Term("dog", 2.0)),
    ("2:3:dog", Term("3:dog", 2.0)),
    ("犬", Term("犬")),
    ("-été", Term("été", -1.0)),
    ("2:🐕 on a 🏖", Term("🐕 on a 🏖", 2.0)),
    ("./dog.jpg", Term("./dog.jpg", 1.0, "file")),
    ("../dog.jpg", Term("../dog.jpg", 1.0, "file")),
    ("/photos/été/dog.jpg", Term("/photos/été/dog.jpg", 1.0, "file")),
    ("~/dog.jpg", Term("~/dog.jpg", 1.0, "file")),
    ("-./dog.jpg", Term("./dog.jpg", -1.0, "file")),
    ("2:/dog.jpg", Term("/dog.jpg", 2.0, "file")),
    ("C:\\photos\\dog.jpg", Term("C:\\photos\\dog.jpg", 1.0, "file")),
    ("d:/photos/dog.jpg", Term("d:/photos/dog.jpg", 1.0, "file")),
    ("2:C:\\dog.jpg", Term("C:\\dog.jpg", 2.0, "file")),
    (".\\dog.jpg", Term(".\\dog.jpg", 1.0, "file")),
    ("..\\dog.jpg", Term("..\\dog.jpg", 1.0, "file")),
    ("dog.jpg", Term("dog.jpg")),
    ("https://example.org/dog.jpg", Term("https://example.org/dog.jpg", 1.0, "url")),
    ("HTTP://example.org/dog.jpg", Term("HTTP://example.org/dog.jpg", 1.0, "url")),
    ("-0.5:https://example.org/a?b=1:2", Term("https://example.org/a?b=1:2", -0.5, "url")),
    ("./\udcff.jpg", Term("./\udcff.jpg", 1.0, "file")),
]


@pytest.mark.parametrize(("argument", "term"), TERMS, ids=[repr(argument) for argument, _ in TERMS])
def test_a_term_as_it_is_typed(argument: str, term: Term) -> None:
    assert Term.parse(argument) == term


WRONG = [
    ("", "has no words"),
    ("   ", "has no words"),
    ("-", "has no words"),
    ("2: ", "has no words"),
    ("- ", "has no words"),
    ("0:dog", "has the weight 0"),
    ("-0:dog", "has the weight -?0"),
    ("0.0:dog", "has the weight 0"),
    ("1" * 400 + ":dog", "has the weight inf"),
    ("dog \udcff", "is not UTF-8"),
]


@pytest.mark.parametrize(("argument", "message"), WRONG, ids=[repr(argument[:20]) for argument, _ in WRONG])
def test_a_wrong_term_is_explained(argument: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        Term.parse(argument)


@given(st.text(max_size=30))
def test_any_text_is_a_term_or_a_clear_error(text: str) -> None:
    try:
        term = Term.parse(text)
    except QueryError:
        return
    assert term.text == term.text.strip() != ""
    assert term.weight != 0


@given(st.floats(-1e6, 1e6).filter(lambda weight: abs(weight) >= 1e-3), st.from_regex(r"[a-z][a-z ]{0,10}[a-z]", fullmatch=True))
def test_a_weight_comes_back(weight: float, words: str) -> None:
    assert Term.parse(f"{weight:.4f}:{words}") == Term(words, float(f"{weight:.4f}"))


@pytest.mark.parametrize(("terms", "k"), [((), 10), ((Term("dog"),), 0), ((Term("dog"),), -1)])
def test_a_query_needs_a_term_and_a_hit(terms: tuple[Term, ...], k: int) -> None:
    with pytest.raises(QueryError):
        Query(terms, k)


@pytest.fixture
def spread() -> Spread:
    """A large library in which the first axis varies ten times as much as the second: as pictures do beside texts."""
    rng = np.random.default_rng(3)
    rows = np.zeros((5000, 4), np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2] = rng.normal(0, 0.5, 5000), rng.normal(0, 0.05, 5000), 1
    return Spread(5000, rows.mean(0), np.cov(rows.T, bias=True).astype(np.float32))


IMAGE, TEXT, THIRD, QUIET = np.eye(4, dtype=np.float32)


def test_one_term_is_itself(spread: Spread) -> None:
    np.testing.assert_allclose(combine(IMAGE[None], [3.0], ["image"], spread), IMAGE)


def test_one_subtracted_term_points_the_other_way(spread: Spread) -> None:
    np.testing.assert_allclose(combine(IMAGE[None], [-1.0], ["image"], spread), -IMAGE)


def test_a_text_is_not_drowned_by_a_picture(spread: Spread) -> None:
    """Each term must move the ranking alike: the deviation of its part of the similarity is the same."""
    query = combine(np.stack([IMAGE, TEXT]), [1, 1], ["image", "text"], spread)
    moved_by_image, moved_by_text = query[0] * np.sqrt(spread.covariance[0, 0]), query[1] * np.sqrt(spread.covariance[1, 1])
    assert moved_by_text == pytest.approx(moved_by_image, rel=0.1)
    raw = normalize((IMAGE + TEXT)[None])[0]
    assert raw[1] * np.sqrt(spread.covariance[1, 1]) < 0.2 * raw[0] * np.sqrt(spread.covariance[0, 0])


def test_weights_weigh(spread: Spread) -> None:
    once = combine(np.stack([IMAGE, TEXT]), [1, 1], ["image", "text"], spread)
    twice = combine(np.stack([IMAGE, TEXT]), [1, 2], ["image", "text"], spread)
    minus = combine(np.stack([IMAGE, TEXT]), [1, -1], ["image", "text"], spread)
    assert twice[1] / twice[0] == pytest.approx(2 * once[1] / once[0], rel=1e-4)
    assert minus[1] == pytest.approx(-once[1], rel=1e-4)


def test_the_order_of_the_terms_does_not_matter(spread: Spread) -> None:
    one = combine(np.stack([IMAGE, TEXT, THIRD]), [1, 2, -0.5], ["image", "text", "text"], spread)
    other = combine(np.stack([THIRD, IMAGE, TEXT]), [-0.5, 1, 2], ["text", "image", "text"], spread)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_sum_has_unit_length(spread: Spread) -> None:
    assert np.linalg.norm(combine(np.stack([IMAGE, TEXT, QUIET]), [1e-3, 1e-3, 1e3], ["image", "text", "text"], spread)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "weights"),
    [(np.stack([TEXT, TEXT]), [1, -1]), (np.stack([TEXT, -TEXT]), [2, 2]), (np.zeros((1, 4), np.float32), [1])],
    ids=["minus itself", "opposites", "nothing"],
)
def test_terms_that_cancel_are_refused(rows: np.ndarray, weights: list[float], spread: Spread) -> None:
    with pytest.raises(QueryError, match="cancel each other"):
        combine(rows, weights, ["text"] * len(rows), spread)


def test_in_a_small_library_the_typical_deviation_counts() -> None:
    one = Spread.of(normalize(np.array([[1.0, 0, 0, 0]])))
    assert one.deviation(IMAGE, typical=0.1) == pytest.approx(0.1 * np.sqrt(20 / 21))
    assert np.isfinite(combine(np.stack([IMAGE, TEXT]), [1, 1], ["image", "text"], one)).all()


def test_the_spread_is_that_of_numpy() -> None:
    rows = normalize(np.random.default_rng(1).normal(size=(20_000, 5)))
    spread = Spread.of(rows)
    assert spread.count == 20_000
    np.testing.assert_allclose(spread.mean, rows.mean(0), atol=1e-5)
    np.testing.assert_allclose(spread.covariance, np.cov(rows.T, bias=True), atol=1e-5)
    vector = rows[0]
    assert spread.deviation(vector, typical=0.1) == pytest.approx(float((rows @ vector).std()), rel=0.01)
