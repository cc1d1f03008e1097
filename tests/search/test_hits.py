from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import build
from preprocess import FetchError, FilterError, ImageCorrupt, ImageTooLarge, Limits, QueryError, RecipeMismatch
from search import Encoder, Hit, Library, Query, Store, Term, make_derived, open_derived, search
from search.hits import nearest_hits

Fill = Callable[..., Store]


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


def test_copies_share_a_vector_and_all_are_returned(library: Library, fill: Fill) -> None:
    store = fill(["aa", "aa", "aa", "bb"], [[1, 0], [1, 0], [1, 0], [0, 1]], paths=["z.jpg", "a.jpg", "m.jpg", "b.jpg"], iso=[1, 2, 3, 4])
    assert len(store.vectors(str(library.file.current))[0]) == 2
    derived = open_derived(library)
    vector = np.array([1, 0], np.float32)
    assert [hit.path for hit in nearest_hits(derived, vector, Query((Term("x"),)))] == ["a.jpg", "m.jpg", "z.jpg", "b.jpg"]
    assert [hit.path for hit in nearest_hits(derived, vector, Query((Term("x"),), k=2))] == ["a.jpg", "m.jpg"]
    conditioned = nearest_hits(derived, vector, Query((Term("x"),), where="iso != 2"), np.array([0, 1]))
    assert [hit.path for hit in conditioned] == ["m.jpg", "z.jpg", "b.jpg"]
    derived.close()


def test_equal_hits_come_by_path_then_root(library: Library, fill: Fill) -> None:
    names = ["c", "a", "d", "b"]
    make_derived(fill(["11", "22", "33", "44"], [[1, 0]] * 4, paths=names))
    derived = open_derived(library)
    assert [hit.path for hit in nearest_hits(derived, np.array([1, 0], np.float32), Query((Term("x"),), k=3))] == ["a", "b", "c"]
    derived.close()


def test_more_hits_start_with_the_same_hits(library: Library, fill: Fill) -> None:
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
