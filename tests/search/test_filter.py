from __future__ import annotations

from collections.abc import Iterator

import pytest

from preprocess import FilterError
from search import IMAGE_COLUMNS, Library, Store, make_derived, matching_vectors, open_derived
from search import filter as module
from search.derived import Derived

ROWS = {
    "camera": ["Pixel 8", "Pixel 9", "Canon EOS 5D", None],
    "iso": [100, 400, 3200, None],
    "taken_at": ["2023-07-01T10:00:00+02:00", "2024-01-01T00:00:00", "2024-12-24T18:30:00", None],
    "keywords": ["beach; dog", "it's a dog", "Émile; 海", None],
    "latitude": [52.5, -33.9, None, None],
    "format": ["JPEG", "PNG", "JPEG", "HEIF"],
}


@pytest.fixture
def derived(library: Library, fill) -> Iterator[Derived]:
    """Vectors 0 to 3 belong to the photos a, b, c, d of `ROWS`."""
    fill("abcd", [[1, 0], [0, 1], [1, 1], [-1, 0]], paths=["a.jpg", "sub/b.png", "c é.jpg", "d;--.heic"], **ROWS)
    opened = open_derived(library)
    yield opened
    opened.close()


VALID = [
    ("iso < 400", [0]),
    ("iso <= 400 and camera like 'Pixel%'", [0, 1]),
    ("taken_at >= '2024-01-01'", [1, 2]),
    ("taken_at between '2024-01-01' and '2024-06-30'", [1]),
    ("taken_at is null", [3]),
    ("camera is not null and not (iso = 400)", [0, 2]),
    ("CAMERA LIKE 'pixel%'", [0, 1]),
    ("\"camera\" = 'Pixel 8'", [0]),
    ("[camera] = 'Pixel 8' or `iso` = 400", [0, 1]),
    ("format in ('JPEG', 'HEIF')", [0, 2, 3]),
    ("latitude < 0", [1]),
    ("abs(latitude) > 40", [0]),
    ("lower(format) = 'png'", [1]),
    ("keywords like '%dog%'", [0, 1]),
    ("keywords = 'it''s a dog'", [1]),
    ("keywords like '%海%'", [2]),
    ("path glob 'sub/*'", [1]),
    ("path = 'd;--.heic'", [3]),
    ("path like '%/*%' or path like '% é%'", [2]),
    ("path = 'select vector' or iso = 100", [0]),
    ("coalesce(iso, 0) = 0", [3]),
    ("strftime('%Y', taken_at) = '2023'", [0]),
    ("iso * 2 + 1 = 201", [0]),
    ("1", [0, 1, 2, 3]),
    ("0", []),
    ("null", []),
    ("case when iso > 1000 then 1 else 0 end", [2]),
    ("camera || format = 'Pixel 8JPEG'", [0]),
]


@pytest.mark.parametrize(("where", "expected"), VALID, ids=[where for where, _ in VALID])
def test_a_condition_gives_the_rows_for_which_it_holds(where: str, expected: list[int], derived: Derived) -> None:
    assert matching_vectors(derived.database, where).tolist() == expected


INVALID = [
    ("camra = 'x'", r"no column 'camra'\. Did you mean 'camera'\? Columns: root, path"),
    ("colour = 'x'", r"no column 'colour'\..* Columns: .*keywords"),
    ("iso <", r"not a condition.*Example.*Columns: "),
    ("iso = ", r"not a condition.*Columns: "),
    ("(iso = 1", r"not a condition.*Columns: "),
    ("iso = 'x", r"(?s)not a condition.*Columns: "),
    ("nosuchfunction(iso) = 1", r"nosuchfunction"),
    ('camera = "Pixel 8"', r"in double quotes, which name a column\. Put text in single quotes: 'Pixel 8'"),
    ("\"camra\" = 'x'", r'"camra" in double quotes'),
    ("", r"is empty\. Example"),
    ("   \n ", r"is empty\. Example"),
    ("iso = 1\0", "NUL"),
    ("iso = 1 or " * 1000 + "1", "too long"),
    ("iso = ?", r"not a condition"),
    ("iso = :name", r"not a condition"),
    ("path = '\udcff'", r"not a condition"),
]


@pytest.mark.parametrize(("where", "message"), INVALID, ids=[repr(where[:40]) for where, _ in INVALID])
def test_a_wrong_condition_is_explained(where: str, message: str, derived: Derived) -> None:
    with pytest.raises(FilterError, match=message):
        matching_vectors(derived.database, where)


def test_the_message_names_every_column(derived: Derived) -> None:
    with pytest.raises(FilterError) as caught:
        matching_vectors(derived.database, "nonsense = 1")
    assert all(column.name in str(caught.value) for column in IMAGE_COLUMNS)


ATTACKS = [
    "1) union select 1 --",
    "1) union select name from sqlite_master where (1",
    "1) or (1",
    "1; drop table images",
    "1;",
    "1 -- all",
    "1 /* all */",
    "iso in (select iso from images)",
    "exists (SELECT 1)",
    "(with recursive n(i) as (values(1) union all select i + 1 from n) select max(i) from n) > 0",
    "path in sqlite_master",
    "path in sqlite_schema",
    "path in pragma_database_list",
    "attach database '/tmp/x' as y",
    "load_extension('/tmp/evil.so')",
    "readfile('/etc/passwd') is not null",
    "writefile('/tmp/x', 'y')",
    "randomblob(1000000000) is not null",
    "zeroblob(1000000000) is not null",
    "printf('%.1000000000c', 'x') is not null",
    "sqlite_version() > '3'",
    "vector = 1",
    "VECTOR >= 0",
    '"vector" = 1',
    "[vector] = 1",
    "rowid = 1",
    "main.sqlite_master.name = 'images'",
    "1 order by path limit 1) or (1",
    "1\n) or (1",
    "raise(abort, 'x')",
]


@pytest.mark.parametrize("where", ATTACKS)
def test_nothing_but_a_condition_on_the_listed_columns_runs(where: str, derived: Derived) -> None:
    with pytest.raises(FilterError):
        matching_vectors(derived.database, where)
    assert matching_vectors(derived.database, "1").tolist() == [0, 1, 2, 3]


def test_the_cache_cannot_be_written_even_without_the_checks(derived: Derived) -> None:
    with pytest.raises(Exception, match="readonly"):
        derived.database.execute("DELETE FROM images")


def test_an_endless_condition_is_stopped(library: Library, fill, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 3000
    fill([f"{at:04}" for at in range(count)], [[1, at] for at in range(count)], iso=range(count))
    derived = open_derived(library)
    long = " + ".join(["iso"] * 200) + " > 0"
    assert len(matching_vectors(derived.database, long)) == count - 1
    monkeypatch.setattr(module, "TIMEOUT_S", 0.0)
    with pytest.raises(FilterError, match=r"took over 0 s and was stopped"):
        matching_vectors(derived.database, long)
    monkeypatch.undo()
    assert matching_vectors(derived.database, "iso = 7").tolist() == [7]
    derived.close()


def test_a_condition_cannot_take_all_memory(derived: Derived) -> None:
    thousand = "a" * 1000
    grown = f"length(replace(replace('{thousand}', 'a', '{thousand}'), 'a', '{thousand[:100]}')) > 0"  # 100 MB
    with pytest.raises(FilterError, match="not allowed"):
        matching_vectors(derived.database, grown)


def test_a_vector_with_several_photos_counts_once(library: Library, fill) -> None:
    store: Store = fill("aab", [[1, 0], [1, 0], [0, 1]], paths=["1.jpg", "2.jpg", "3.jpg"], iso=[100, 200, 300])
    make_derived(store)
    derived = open_derived(library)
    assert matching_vectors(derived.database, "iso < 250").tolist() == [0]
    assert matching_vectors(derived.database, "iso > 150").tolist() == [0, 1]
    derived.close()
