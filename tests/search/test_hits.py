from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import build
from preprocess import FetchError, FilterError, ImageCorrupt, ImageTooLarge, Limits, QueryError, RecipeMismatch
from search import Answer, Encoder, Hit, Library, Query, Recipe, Store, Term, Vectors, answer, make_derived, normalize, open_derived, search

Fill = Callable[..., Store]
Nearest = Callable[..., list[Hit]]


@pytest.fixture
def indexed(library: Library, photos: Path, encoder: Encoder) -> Library:
    build(library, [photos], encoder)
    return library


def ask(library: Library, encoder: Encoder, *terms: str, **options: Any) -> list[Hit]:
    return search(library, Query(tuple(map(Term.parse, terms)), **options), encoder)


@pytest.mark.parametrize("colour", ["red", "green", "blue", "yellow", "black", "white"])
def test_words_find_their_photo(colour: str, indexed: Library, encoder: Encoder) -> None:
    best, second = ask(indexed, encoder, f"a {colour} thing", k=2)
    assert best.path == f"{colour}.png"
    assert best.similarity == pytest.approx(1, abs=2e-3)
    assert best.similarity > second.similarity
    assert best.z > 1


def test_a_picture_finds_itself_first(indexed: Library, encoder: Encoder, photos: Path) -> None:
    assert ask(indexed, encoder, str(photos / "cyan.png"), k=1)[0].path == "cyan.png"


def test_a_subtracted_term_pushes_away(indexed: Library, encoder: Encoder) -> None:
    assert ask(indexed, encoder, "-white", k=1)[0].path == "black.png"
    plain = [hit.path for hit in ask(indexed, encoder, "red yellow", k=10)]
    less = [hit.path for hit in ask(indexed, encoder, "red yellow", "-yellow", k=10)]
    assert less.index("yellow.png") > plain.index("yellow.png")
    assert less[0] in ("red.png", "magenta.png")


def test_words_and_a_picture_together(indexed: Library, encoder: Encoder, photos: Path) -> None:
    first = {hit.path for hit in ask(indexed, encoder, str(photos / "red.png"), "green", k=4)}
    assert {"yellow.png", "orange.png"} & first
    assert ask(indexed, encoder, f"0.01:{photos / 'red.png'}", "green", k=1)[0].path == "green.png"


def test_a_condition_is_applied_before_the_search(indexed: Library, encoder: Encoder) -> None:
    hits = ask(indexed, encoder, "red", k=3, where="path not like 'red%' and path not like 'orange%'")
    assert len(hits) == 3
    assert not {"red.png", "orange.png"} & {hit.path for hit in hits}
    assert ask(indexed, encoder, "red", where="iso > 0") == []
    with pytest.raises(FilterError, match="no column 'color'"):
        ask(indexed, encoder, "red", where="color = 'red'")


def test_k_may_exceed_the_library(indexed: Library, encoder: Encoder) -> None:
    assert len(ask(indexed, encoder, "red", k=1000)) == 10


def test_hits_fall_and_carry_their_columns(indexed: Library, encoder: Encoder, photos: Path) -> None:
    hits = ask(indexed, encoder, "red blue", k=10)
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    best = hits[0].as_dict()
    assert list(best)[:6] == ["similarity", "z", "file", "root", "path", "digest"]
    assert Path(best["file"]).is_file()
    assert (best["width"], best["height"], best["format"]) == (24, 16, "PNG")
    assert "camera" not in best


def test_copies_share_a_vector_and_all_are_returned(library: Library, fill: Fill, nearest_hits: Nearest) -> None:
    store = fill(["aa", "aa", "aa", "bb"], [[1, 0], [1, 0], [1, 0], [0, 1]], paths=["z.jpg", "a.jpg", "m.jpg", "b.jpg"], iso=[1, 2, 3, 4])
    assert len(store.vectors(str(library.file.current))[0]) == 2
    derived = open_derived(library)
    vector = np.array([1, 0], np.float32)
    assert [hit.path for hit in nearest_hits(derived, vector, Query((Term("x"),)))] == ["a.jpg", "m.jpg", "z.jpg", "b.jpg"]
    assert [hit.path for hit in nearest_hits(derived, vector, Query((Term("x"),), k=2))] == ["a.jpg", "m.jpg"]
    conditioned = nearest_hits(derived, vector, Query((Term("x"),), where="iso != 2"), np.array([0, 1]))
    assert [hit.path for hit in conditioned] == ["m.jpg", "z.jpg", "b.jpg"]
    derived.close()


def test_equal_hits_come_by_path_then_root(library: Library, fill: Fill, nearest_hits: Nearest) -> None:
    names = ["c", "a", "d", "b"]
    make_derived(fill(["11", "22", "33", "44"], [[1, 0]] * 4, paths=names))
    derived = open_derived(library)
    assert [hit.path for hit in nearest_hits(derived, np.array([1, 0], np.float32), Query((Term("x"),), k=3))] == ["a", "b", "c"]
    derived.close()


def test_more_hits_start_with_the_same_hits(library: Library, fill: Fill, nearest_hits: Nearest) -> None:
    """With many photos that look the same, `-k 5` is the beginning of `-k 50`, whatever the digests are."""
    count = 200
    rng = np.random.default_rng(6)
    fill([f"{number:03}" for number in rng.permutation(count)], [[1, 0]] * count, paths=[f"{at:03}.jpg" for at in range(count)])
    derived = open_derived(library)
    few, many = (nearest_hits(derived, np.array([1, 0], np.float32), Query((Term("x"),), k=k)) for k in (5, 50))
    assert [hit.path for hit in few] == [f"{at:03}.jpg" for at in range(5)]
    assert many[:5] == few
    derived.close()


def test_another_encoder_is_refused_with_the_command(indexed: Library, make_encoder: Callable[..., Encoder]) -> None:
    with pytest.raises(RecipeMismatch) as caught:
        ask(indexed, make_encoder("other"), "red")
    assert f"pellucid index --library {indexed.folder} --encoder other" in str(caught.value)
    with pytest.raises(RecipeMismatch):
        ask(indexed, make_encoder(precision="int8"), "red")


def test_pictures_that_cannot_be_asked_with(indexed: Library, encoder: Encoder, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(QueryError, match=r"There is no picture at .*none\.png"):
        ask(indexed, encoder, str(photos / "none.png"))
    with pytest.raises(ImageCorrupt, match=r"broken\.png"):
        ask(indexed, encoder, str(tmp_path / "broken.png"))
    with pytest.raises(ImageTooLarge):
        search(indexed, Query((Term.parse(str(photos / "red.png")),)), encoder, limits=Limits(max_pixels=10))
    for address in ("http://127.0.0.1/a.png", "http://localhost:1/a.png", "http://[::1]/a.png", "http://10.0.0.1/a.png", "http://\udcff/"):
        with pytest.raises(FetchError):
            ask(indexed, encoder, address)


def test_a_picture_by_its_address(indexed: Library, encoder: Encoder, photos: Path) -> None:
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(photos))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            term = Term.parse(f"http://127.0.0.1:{server.server_port}/magenta.png")
            assert search(indexed, Query((term,)), encoder, allow_private=True)[0].path == "magenta.png"
        finally:
            server.shutdown()
            thread.join()


class Words:
    """Encodes what is asked for as the first axis, and the generic queries as rows of chance."""

    recipe = Recipe("rows", "0" * 64, "fp32", "none", 16)
    side = 16

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        if len(texts) == 1:
            return np.eye(1, 16, dtype=np.float32)
        return normalize(np.random.default_rng(len(texts)).normal(size=(len(texts), 16)) - 2 * np.eye(1, 16))


@pytest.fixture
def crowded(library: Library, fill: Fill) -> Library:
    """1,000 photos that answer, the less similar the later they were taken, and as many that do not, taken later still."""
    random, count = np.random.default_rng(1), 1000
    noise = normalize(random.normal(size=(2 * count, 16)) * (np.arange(16) > 0))
    angles = np.concatenate([np.linspace(0.05, 0.35, count), np.linspace(1.2, 1.9, count)])
    rows = np.cos(angles)[:, None] * np.eye(1, 16) + np.sin(angles)[:, None] * noise
    dates = [f"{2000 + at // 365:04}-01-01T00:{at % 365 // 60:02}:{at % 365 % 60:02}" for at in range(2 * count)]
    fill([f"{at:04}" for at in range(2 * count)], rows, taken_at=dates)
    return library


def test_all_that_are_relevant_are_sorted(crowded: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the nearest ones: the newest photo that answers is the farthest of a thousand."""

    def asked(**options: Any) -> Answer:
        return answer(crowded, Query((Term("x"),), k=5, **options), Words())  # type: ignore[arg-type]

    found = asked(sort="date", strictness=50)
    assert [hit.digest for hit in found.hits] == ["0999", "0998", "0997", "0996", "0995"]
    assert found.note is None
    assert [hit.digest for hit in asked(strictness=50).hits] == ["0000", "0001", "0002", "0003", "0004"]
    assert asked(sort="date", strictness=0).hits[0].digest == "1999"  # where all are relevant, all are sorted
    monkeypatch.setattr("search.arrange.MOST_SORTED", 300)
    cut = asked(sort="date", strictness=50)
    assert cut.hits[0].digest == "0299"
    assert cut.note is not None
    assert "the 300 most relevant" in cut.note


def test_terms_may_be_given_as_pixels_or_as_vectors(photos: Path, library: Library, encoder: Encoder) -> None:
    from preprocess import read_image

    build(library, [photos], encoder)
    file = photos / "orange.png"
    pixels = read_image(file, side=encoder.side).pixels
    row = encoder.encode_images([encoder.prepare(pixels)])[0]
    typed = answer(library, Query((Term.parse(str(file)), Term("blue", -1.0)), k=20), encoder).hits
    for given in (pixels, row):
        query = Query((Term("this picture", kind="given"), Term("blue", -1.0)), k=20)
        hits = answer(library, query, encoder, given={0: given}).hits
        assert [(hit.path, hit.verdict) for hit in hits] == [(hit.path, hit.verdict) for hit in typed]
        assert [hit.similarity for hit in hits] == pytest.approx([hit.similarity for hit in typed], abs=1e-6)


def test_a_term_that_is_to_be_given_must_be_and_by_this_encoder(photos: Path, library: Library, encoder: Encoder) -> None:
    build(library, [photos], encoder)
    query = Query((Term("this picture", kind="given"),))
    with pytest.raises(QueryError, match="was not"):
        answer(library, query, encoder)
    with pytest.raises(QueryError, match=r"shape \(7,\)"):
        answer(library, query, encoder, given={0: np.ones(7, np.float32)})


def test_an_open_cache_is_asked_and_stays_open(photos: Path, library: Library, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    build(library, [photos], encoder)
    query = Query((Term("red"),))
    expected = answer(library, query, encoder)
    derived = open_derived(library)
    monkeypatch.setattr("search.hits.open_derived", None)
    for _ in range(2):
        assert answer(library, query, encoder, derived=derived) == expected
    assert derived.database.execute("SELECT count(*) FROM images").fetchone() == (10,)
    derived.close()
