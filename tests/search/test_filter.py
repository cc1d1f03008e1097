from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from annotate import Annotation, Region
from preprocess import FilterError
from search import IMAGE_COLUMNS, Library, Query, Store, Term, make_derived, matching_vectors, open_derived
from search import filter as module
from search.condition import LONGEST, Condition
from search.condition_names import RELATIONS
from search.derived import Derived
from search.filter import matching_regions, row_statement
from search.marks_cache import create_indices, create_tables
from search.schema import ASKED_REGION_COLUMNS

ROWS = {
    "camera": ["Pixel 8", "Pixel 9", "Canon EOS 5D", None],
    "iso": [100, 400, 3200, None],
    "taken_at": ["2023-07-01T10:00:00+02:00", "2024-01-01T00:00:00", "2024-12-24T18:30:00", None],
    "keywords": ["beach; dog", "it's a dog", "Émile; 海", None],
    "latitude": [52.5, -33.9, None, None],
    "format": ["JPEG", "PNG", "JPEG", "HEIF"],
}


PATHS = ["a.jpg", "sub/b.png", "c é.jpg", "d;--.heic"]


def made(images: Sequence[dict[str, Any]], regions: Sequence[dict[str, Any]] | None = None) -> sqlite3.Connection:
    """A database as the cache has it; without a table of regions where there are none."""
    database = sqlite3.connect(":memory:")
    for table, own, columns, rows in (
        ("images", ["vector"], IMAGE_COLUMNS, images),
        ("regions", ["region", "photo"], ASKED_REGION_COLUMNS, regions),
    ):
        if rows is None:
            continue
        kinds = [f"{name} INTEGER" for name in own] + [f'"{column.name}" {column.kind}' for column in columns]
        database.execute(f"CREATE TABLE {table} ({', '.join(kinds)})")
        names = [*own, *(column.name for column in columns)]
        for row in rows:
            database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})", [row.get(name) for name in names])
    database.commit()
    return database


@pytest.fixture(scope="module")
def photos() -> Iterator[sqlite3.Connection]:
    """The photos of `ROWS`, numbered, and none of their regions."""
    database = made([{"vector": at, "path": path, **{name: column[at] for name, column in ROWS.items()}} for at, path in enumerate(PATHS)])
    yield database
    database.close()


@pytest.fixture
def derived(library: Library, fill) -> Iterator[Derived]:
    """Vectors 0 to 3 belong to the photos a, b, c, d of `ROWS`."""
    fill("abcd", [[1, 0], [0, 1], [1, 1], [-1, 0]], paths=PATHS, **ROWS)
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
def test_a_condition_gives_the_rows_for_which_it_holds(where: str, expected: list[int], photos: sqlite3.Connection) -> None:
    assert matching_vectors(photos, where).tolist() == expected


def test_the_same_holds_of_a_library(derived: Derived) -> None:
    assert [matching_vectors(derived.database, where).tolist() for where, _ in VALID] == [expected for _, expected in VALID]


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
    ("lable = 'sky'", r"no column 'lable'\. Did you mean 'region\.label'\?"),
    ("label = 'sky'", r"no column 'label'\. Did you mean 'region\.label'\? .*region\.area"),
    ("region.lable = 'sky'", r"no column 'region\.lable'\. Did you mean 'region\.label'\?"),
    ("region.iso = 100", r"no column 'region\.iso'\. Did you mean 'iso'\?"),
    ("camera = Pixel", r"no column 'Pixel'\. Text stands in single quotes"),
    ("region = 1", r"no column 'region'"),
    ("region. = 1", r"no column 'region\.='"),
    ("images.digset = 'x'", r"no column 'images\.digset'\. Did you mean 'digest'"),
    ("count(region.label = 'dog' and count() > 1) = 1", r"count\(\) inside a count\(\)"),
    ("count(left_of('dog', 'car')) = 1", r"left_of\(\) inside count\(\)"),
    ("left_of(dog, car)", r"two labels in single quotes: left_of\('dog', 'car'\)"),
    ("left_of('dog')", r"takes two labels"),
    ("left_of('dog', 'car', 'tree')", r"takes two labels"),
    ("left_of('dog' || 'x', 'car')", r"takes two labels"),
    ("left_of('dog', 'car'", r"takes two labels"),
    ("count(iso = 1", r"a parenthesis is not closed"),
    ('"region" = 1', r'"region" in double quotes'),
]


@pytest.mark.parametrize(("where", "message"), INVALID, ids=[repr(where[:40]) for where, _ in INVALID])
def test_a_wrong_condition_is_explained(where: str, message: str, photos: sqlite3.Connection) -> None:
    with pytest.raises(FilterError, match=message):
        matching_vectors(photos, where)


def test_the_message_names_every_column(photos: sqlite3.Connection) -> None:
    with pytest.raises(FilterError) as caught:
        matching_vectors(photos, "nonsense = 1")
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
def test_nothing_but_a_condition_on_the_listed_columns_runs(where: str, photos: sqlite3.Connection) -> None:
    with pytest.raises(FilterError):
        matching_vectors(photos, where)
    assert matching_vectors(photos, "1").tolist() == [0, 1, 2, 3]


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


def test_a_condition_cannot_take_all_memory(photos: sqlite3.Connection) -> None:
    thousand = "a" * 1000
    grown = f"length(replace(replace('{thousand}', 'a', '{thousand}'), 'a', '{thousand[:100]}')) > 0"  # 100 MB
    with pytest.raises(FilterError, match="not allowed"):
        matching_vectors(photos, grown)


def test_a_vector_with_several_photos_counts_once(library: Library, fill) -> None:
    store: Store = fill("aab", [[1, 0], [1, 0], [0, 1]], paths=["1.jpg", "2.jpg", "3.jpg"], iso=[100, 200, 300])
    make_derived(store)
    derived = open_derived(library)
    assert matching_vectors(derived.database, "iso < 250").tolist() == [0]
    assert matching_vectors(derived.database, "iso > 150").tolist() == [0, 1]
    derived.close()


def region(photo: int, label: str, box: tuple[float, float, float, float], number: int, **columns: Any) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {"photo": photo, "label": label, "number": number, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "confidence": 1.0} | columns


SCENES: list[list[tuple[str, tuple[float, float, float, float], float]]] = [
    [("sky", (0, 0, 100, 50), 0.5), ("car", (60, 60, 90, 90), 0.09), ("person", (5, 50, 15, 95), 0.04), ("Person", (20, 50, 30, 95), 0.04)],
    [("sky", (0, 0, 100, 10), 0.1), ("building", (0, 5, 100, 100), 0.85), ("person", (70, 60, 80, 95), 0.03)],
    [],
    [("dog's", (0, 0, 10, 10), 0.01), ("海", (20, 0, 30, 10), 0.01)],
]
"""Labels, boxes in pixels and areas of the regions of photos 0 to 3, which are 100 pixels wide and high and have an `iso` of 100, 200, 300 and 400."""


@pytest.fixture(scope="module")
def scenes() -> Iterator[sqlite3.Connection]:
    rows = [(photo, number, *part) for photo, parts in enumerate(SCENES) for number, part in enumerate(parts)]
    regions = [region(photo, label, box, number, area=area, region=at) for at, (photo, number, label, box, area) in enumerate(rows)]
    regions[1]["region"] = None  # the car has no vector
    database = made([{"vector": at, "path": f"{at}.jpg", "iso": 100 * (at + 1), "width": 100, "height": 100} for at in range(4)], regions)
    yield database
    database.close()


WITH_REGIONS = [
    ("region.label = 'sky'", [0, 1]),
    ("region.label = 'sky' and region.area > 0.4", [0]),
    ("region.area > 0.4", [0, 1]),
    ("region.label = 'person' and region.area > 0.4", []),  # one region must meet both
    ("count(region.label = 'person') > 0 and region.area > 0.4", [0, 1]),
    ("iso > 250 or region.label = 'building'", [1, 2, 3]),
    ("region.label is null", [2]),
    ("not region.label = 'sky'", [0, 1, 3]),  # one that is no sky
    ("count(region.label = 'sky') = 0", [2, 3]),
    ("count(region.label = 'person') >= 2", [0]),
    ("count() = 0", [2]),
    ("count(region) = 4", [0]),
    ("COUNT ( * ) between 2 and 3", [1, 3]),
    ("count(region.x2 - region.x1 >= width) = count(region.label = 'sky' or region.label = 'building') and count() > 2", [0, 1]),
    ("count(iso = 200) = 3", [1]),
    ("count((region.label = 'car') or (region.area > 0.8)) = 1 and (count(region.label = 'sky')) = 1", [0, 1]),
    ("REGION . Label = 'SKY'", [0, 1]),
    ('"region"."label" = \'sky\' and [region].[area] < 0.4', [1]),
    ("'PERSON' = region.label", [0, 1]),
    ("region.label in ('CAR', 'building')", [0, 1]),
    ("region.label collate binary = 'Person'", [0]),
    ("region.label collate binary = 'PERSON'", []),
    ("region.label glob 'PERSON'", []),
    ("region.label like 'p%' and iso = 200", [1]),
    ("region.label = 'dog''s'", [3]),
    ("region.label = '海'", [3]),
    ("region.label = 'select count(' or iso = 300", [2]),
    ("max(region.area, 0.5) > 0.6", [1]),
    ("case when region.label = 'car' then region.x1 else 0 end = 60", [0]),
    ("left_of('person', 'car')", [0]),
    ("LEFT_OF ( 'Person' , 'CAR' )", [0]),
    ("left_of('car', 'person')", []),
    ("right_of('car', 'person')", [0]),
    ("left_of('person', 'person')", [0]),
    ("above('sky', 'car')", [0]),
    ("below('person', 'sky')", [0, 1]),
    ("inside('person', 'building')", [1]),
    ("inside('building', 'person')", []),
    ("overlaps('building', 'sky')", [1]),
    ("overlaps('car', 'car')", []),  # one region alone
    ("not overlaps('building', 'sky') and iso <= 300", [0, 2]),
    ("left_of('dog''s', '海')", [3]),
    ("left_of('person', 'car') and region.label = 'sky' and count() = 4 and iso = 100", [0]),
    ("images.iso = 100 and region.number = 3", [0]),
]


@pytest.mark.parametrize(("where", "expected"), WITH_REGIONS, ids=[where for where, _ in WITH_REGIONS])
def test_conditions_on_regions(where: str, expected: list[int], scenes: sqlite3.Connection) -> None:
    """Also photo by photo, as hits are read."""
    assert matching_vectors(scenes, where).tolist() == expected
    statement = row_statement('"path"', where)
    rows = [scenes.execute(statement, (at,)).fetchall() for at in range(4)]
    assert rows == [[(f"{at}.jpg",)] if at in expected else [] for at in range(4)]


def test_every_image_of_a_vector_is_read_once() -> None:
    images = [{"vector": 0, "path": f"{at}.jpg", "iso": at} for at in range(3)]
    database = made(images, [region(0, "sky", (0, 0, 1, 1), at) for at in range(2)])
    assert database.execute(row_statement('"path", "iso"', "region.label = 'sky' and iso > 0"), (0,)).fetchall() == [
        ("1.jpg", 1),
        ("2.jpg", 2),
    ]
    assert len(database.execute(row_statement('"path"', None), (0,)).fetchall()) == 3
    assert matching_vectors(database, "region.label = 'sky'").tolist() == [0]
    database.close()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("region.label = 'person'", [2, 3, 6]),
        ("region.label = 'person' and iso = 100", [2, 3]),
        ("region.label in ('car', 'sky')", [0, 4]),
        ("region.label = 'sky' or iso = 400", [0, 4, 7, 8]),
        ("region.label = 'nothing'", []),
        ("count(region.label = 'person') = 2", None),
        ("iso = 100 or left_of('dog', 'car')", None),
    ],
)
def test_regions_that_meet_a_condition_on_them(where: str, expected: list[int] | None, scenes: sqlite3.Connection) -> None:
    found = matching_regions(scenes, where)
    assert (found if found is None else found.tolist()) == expected


CAR = (40, 40, 80, 80)
GEOMETRY = [
    # the other box, and how it lies to the car
    ((0, 40, 20, 80), {"left_of"}),
    ((0, 0, 20, 20), {"left_of", "above"}),
    ((20, 40, 60, 80), {"left_of", "overlaps"}),  # half of each is shared
    ((21, 40, 61, 80), {"overlaps"}),
    ((30, 50, 45, 80), {"left_of", "overlaps"}),  # a dog that covers the car's bonnet
    ((45, 60, 55, 80), {"overlaps", "inside"}),  # a dog before the car
    ((25, 0, 65, 39), {"above"}),
    ((0, 0, 200, 60), {"above", "overlaps"}),  # a sky that reaches down to the car's middle
    ((0, 0, 100, 30), {"above"}),  # the sky
    ((90, 90, 95, 95), {"right_of", "below"}),
    ((80, 40, 100, 80), {"right_of"}),  # it touches
    ((60, 40, 100, 80), {"right_of", "overlaps"}),
    ((40, 70, 80, 100), {"below", "overlaps"}),
    ((0, 0, 100, 100), {"overlaps"}),  # all around it
    ((40, 40, 80, 80), {"overlaps"}),  # the same box: neither is inside the other
    ((39, 45, 49, 55), {"overlaps", "inside"}),  # nine tenths
    ((38, 45, 48, 55), {"overlaps"}),
    ((35, 45, 45, 55), {"left_of", "overlaps"}),
]


@pytest.mark.parametrize(("box", "relations"), GEOMETRY)
def test_geometry(box: tuple[float, float, float, float], relations: set[str]) -> None:
    database = made([{"vector": 0}], [region(0, "dog", box, 0), region(0, "car", CAR, 1)])
    assert {name for name in RELATIONS if len(matching_vectors(database, f"{name}('dog', 'car')"))} == relations
    mirrored = {"left_of": "right_of", "right_of": "left_of", "above": "below", "below": "above", "overlaps": "overlaps"}
    there = {name for name in mirrored if len(matching_vectors(database, f"{name}('car', 'dog')"))}
    assert there == {mirrored[name] for name in relations - {"inside"}}
    database.close()


def test_relations_are_of_one_photo() -> None:
    database = made([{"vector": 0}, {"vector": 1}], [region(0, "dog", (0, 0, 1, 1), 0), region(1, "car", (5, 5, 6, 6), 0)])
    assert matching_vectors(database, "left_of('dog', 'car')").tolist() == []
    database.close()


@pytest.mark.parametrize("where", ["region.area > 0", "count() = 0", "left_of('a', 'b')", "iso > 0 or region.label is null"])
def test_a_library_without_regions_says_how_to_get_them(where: str, photos: sqlite3.Connection) -> None:
    empty = made([{"vector": 0}], [])
    for database in (photos, empty):
        with pytest.raises(FilterError, match=r"the library has none\. Find them: pellucid index --regions builtin"):
            matching_vectors(database, where)
    empty.close()


REGION_ATTACKS = [
    "regions",
    "regions.label = 'sky'",
    "path in regions",
    "iso in (regions)",
    "region.photo = 1",
    "region.region = 1",
    "region.rowid = 1",
    "region.digest = 'x'",
    "region.* = 1",
    "region.'label' = 'sky'",
    "main.regions.label = 'sky'",
    "region.label.x = 1",
    "photo = 1",
    "a.label = 'sky'",
    "count(a.label = 'sky') > 0",
    "count(1)) > 0 or (1",
    "count(1 union select 1) > 0",
    "count(1) > 0) or (1",
    "count()) from images --",
    "count(1 /* ) */) = 1",
    "count(1; 1) = 1",
    "count(select 1) = 1",
    "count(with x as (values(1)) 1) = 1",
    "count(region.label, region.area) = 1",
    "count(distinct region.label) = 1",
    "count(region.label = 'sky' group by 1) = 1",
    "count(max(iso)) = 1",
    "count(1 limit 1) = 1",
    "count(count(1)) = 1",
    "count(nosuch(region.area)) = 1",
    "count(zeroblob(1000000000)) = 1",
    "count = 1",
    "count.x = 1",
    "count(region.label = 'sky) = 1",
    'count(region.label = "sky") = 1',
    "left_of('a', 'b') union select 1",
    "left_of('a', (select 1))",
    "left_of('a', 'b') left_of('a', 'b')",
    "left_of = 1",
    "max(region.area) > 0",
    "сount(1) = 1",  # a Cyrillic letter
    "region\u00a0.label = 'sky'",
    "region․label = 'sky'",  # a leader dot
    "count（1） = 1",
    "ſelect 1",
    "\ud800 = 1",
]


@pytest.mark.parametrize("where", REGION_ATTACKS, ids=ascii)
def test_nothing_but_a_condition_on_listed_region_columns_runs(where: str, scenes: sqlite3.Connection) -> None:
    with pytest.raises(FilterError):
        matching_vectors(scenes, where)
    with pytest.raises(FilterError):
        scenes.execute(_checked(where, scenes))
    assert matching_vectors(scenes, "1").tolist() == [0, 1, 2, 3]


def _checked(where: str, database: sqlite3.Connection) -> str:
    """A row statement, as a search makes it: after the condition has run."""
    matching_vectors(database, where)
    return row_statement('"path"', where)


LONG = {
    "count(": "count(" * 1666,
    "closed counts": "count(" * 1000 + ")" * 1000,
    "parentheses": "(" * 4000 + "1" + ")" * 4000,
    "not": "not " * 2400 + "1",
    "minus": "- " * 4900 + "1",
    "quotes": "'" * 9999,
    "double quotes": '"' * 9999,
    "brackets": "[" * 9999,
    "unknown words": "é" * 9999,
    "dots": "region." * 1400 + "label",
    "nested abs": "abs(" * 1900 + "1" + ")" * 1900,
}


@pytest.mark.parametrize("where", LONG.values(), ids=LONG)
def test_long_nonsense_is_refused_quickly(where: str, scenes: sqlite3.Connection) -> None:
    assert len(where) <= LONGEST
    start = time.process_time()
    with pytest.raises(FilterError):
        matching_vectors(scenes, where)
    assert time.process_time() - start < 2


def test_many_relations_are_a_condition_too(scenes: sqlite3.Connection) -> None:
    assert matching_vectors(scenes, " and ".join(["left_of('person','car')"] * 300)).tolist() == [0]
    assert matching_vectors(scenes, " or ".join(["count(region.label='car')=1"] * 300)).tolist() == [0]


def test_a_condition_on_regions_is_stopped_too(scenes: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [region(0, "tree", (at % 7, 0, at % 7 + 10, 10), at) for at in range(600)]
    database = made([{"vector": 0}], rows)
    monkeypatch.setattr(module, "TIMEOUT_S", 0.0)
    with pytest.raises(FilterError, match=r"took over 0 s and was stopped"):
        matching_vectors(database, "inside('tree', 'tree')")
    database.close()


@pytest.mark.parametrize("name", [column.name for column in ASKED_REGION_COLUMNS])
def test_every_region_column_can_be_asked_for(name: str, scenes: sqlite3.Connection) -> None:
    assert Condition.parse(f"region.{name} = 1").joined
    assert matching_vectors(scenes, f"region.{name} is not null or count(region.{name} is null) = 0").tolist()


def test_conditions_on_the_regions_of_a_library(library: Library, fill, nearest_hits) -> None:
    store: Store = fill("abc", [[1, 0], [0, 1], [1, 1]], iso=[100, 200, 300])
    car, dog = Region((60, 20, 90, 40), "Car", area=0.06), Region((0, 20, 30, 40), "dog", area=0.06)
    store.regions.put({"a": Annotation((100, 50), (car, dog), "machine"), "c": Annotation((100, 50), (dog,), "human-0")})
    derived = open_derived(library)
    expected = {"region.label = 'car'": [0], "left_of('dog', 'car')": [0], "count() = 2 and region.source = 'machine'": [0],
                "count(region.label = 'DOG') = 0": [1], "region.area > 0.05 and iso > 100": [2]}  # fmt: skip
    assert {where: matching_vectors(derived.database, where).tolist() for where in expected} == expected
    query = Query((Term("red"),), where="region.label in ('dog', 'car') or region.area is null and iso = 200")
    hits = nearest_hits(derived, np.array([1, 0], np.float32), query, matching_vectors(derived.database, str(query.where)))
    assert [hit.digest for hit in hits] == ["a", "c", "b"]
    derived.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT name FROM sqlite_master",
        "SELECT rowid FROM regions",
        "SELECT load_extension('x')",
        "SELECT randomblob(5)",
        "SELECT group_concat(path) FROM images",
        "DELETE FROM regions",
        "ATTACH ':memory:' AS other",
        "PRAGMA query_only",
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    ],
)
def test_the_authorizer_alone_refuses_what_no_condition_needs(statement: str, scenes: sqlite3.Connection) -> None:
    with pytest.raises(FilterError, match="not allowed"):
        module._run(scenes, statement, "1")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """The photos of `ROWS`, of which a and b are scored, a, b and c have tags, and d is unknown to both."""
    database = made(
        [
            {"vector": at, "path": path, "digest": f"d{at}", **{name: column[at] for name, column in ROWS.items()}}
            for at, path in enumerate(PATHS)
        ]
    )
    database.execute("ATTACH ? AS marks", (str(tmp_path_factory.mktemp("marks") / "marks.sqlite"),))
    create_tables(database, "marks")
    create_indices(database, "marks")
    database.executemany(
        "INSERT INTO marks.photos (photo, digest, quality, new) VALUES (?, ?, ?, ?)",
        [(0, "d0", 0.75, 0.5), (1, "d1", 0.25, None), (2, "d2", None, None)],
    )
    database.executemany("INSERT INTO marks.axes VALUES (?, ?)", [("quality", 2), ("new", 1), ("warm", 2), ("it's", 1)])
    database.executemany("INSERT INTO marks.extra VALUES (?, ?, ?)", [("warm", 0, 0.125), ("warm", 2, 0.5), ("it's", 1, 1.0)])
    database.executemany(
        "INSERT INTO marks.names VALUES (?, ?, ?)",
        [(0, "beach", "Beach"), (1, "it's a dog", "it's a dog"), (2, "black and white", "black-and-white")],
    )
    database.executemany("INSERT INTO marks.tagged VALUES (?, ?, ?, 0)", [(0, 0, 0.5), (1, 1, 0.5), (2, 0, 0.5), (2, 2, 0.5)])
    database.commit()
    yield database
    database.close()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("quality > 0.5", [0]),
        ("QUALITY <= 0.25", [1]),
        ('"quality" > 0.5', [0]),
        ("images.quality > 0.5", [0]),
        ("quality is null", [2, 3]),
        ("coalesce(quality, 1) > 0.5", [0, 2, 3]),
        ("new = 0.5", [0]),
        ("quality between 0.2 and 0.3 or iso = 3200", [1, 2]),
        ("score('warm') > 0.25", [2]),
        ("SCORE ( 'warm' ) < 0.25", [0]),
        ("score('it''s') = 1", [1]),
        ("score('warm') is null", [1, 3]),
        ("score('quality') = quality", [0, 1]),
        ("score('Quality') = 0.75", [0]),
        ("tag('beach')", [0, 2]),
        ("TAG('BEACH')", [0, 2]),
        ("not tag('beach')", [1, 3]),
        ("tag('it''s a dog') or tag('Black_and-white')", [1, 2]),
        ("tag('beach') and quality > 0.5 and iso = 100", [0]),
        ("tag('beach') and not tag('black and white')", [0]),
        ("tag('nothing of it')", []),
        ("tag('%')", []),
        ("tag('beach'') or (''1''=''1')", []),
        ("tag('')", []),
        ("tag('" + "x" * 5000 + "')", []),
        ("case when tag('beach') then quality else 1 end = 1", [1, 3]),
        ("tag('beach') = 0", [1, 3]),
    ],
)
def test_conditions_on_scores_and_tags(scored: sqlite3.Connection, where: str, expected: list[int]) -> None:
    assert matching_vectors(scored, where).tolist() == expected
    each = row_statement('"path"', where)
    assert [at for at in range(4) if scored.execute(each, (at,)).fetchall() == [(PATHS[at],)]] == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("tag", r"Ask whether a photo has one: tag\('beach'\)"),
        ("tags like '%beach%'", r"Ask whether a photo has one: tag\('beach'\)"),
        ("tag()", "one tag in single quotes"),
        ("tag(beach)", "one tag in single quotes"),
        ('tag("beach")', "one tag in single quotes"),
        ("tag('a', 'b')", "one tag in single quotes"),
        ("tag('a' || 'b')", "one tag in single quotes"),
        ("tag('beach'", "one tag in single quotes"),
        ("score(warm) > 1", "one axis in single quotes"),
        ("score('cold') > 0", r"'cold', on which no photo has a score \(there are it's, new, quality, warm\)\. Score them: pellucid score"),
        ("happy > 0.5", r"'happy', on which no photo has a score\. Score them: pellucid score"),
        ("measured_sharpness > 0.5", r"Measure them: pellucid index"),
        ("qualty > 0.5", "Did you mean 'quality'"),
        ("mark.quality > 0.5", "no column 'mark.quality'"),
        ("marks.tagged", "no column 'marks.tagged'"),
        ("tagged > 0", "no column 'tagged'"),
        ("extra = 1", "no column 'extra'"),
    ],
)
def test_wrong_conditions_on_scores_and_tags_say_what_there_is(scored: sqlite3.Connection, where: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        matching_vectors(scored, where)


def test_a_condition_on_tags_where_nothing_is_tagged_names_the_remedy(derived: Derived) -> None:
    with pytest.raises(FilterError, match=r"no photo has one\. Tag the photos: pellucid tag"):
        matching_vectors(derived.database, "tag('beach')")
    assert matching_vectors(derived.database, "not tag('beach')").tolist() == [0, 1, 2, 3]
    assert matching_vectors(derived.database, "quality is null").tolist() == [0, 1, 2, 3]


def test_conditions_on_tags_and_scores_go_through_indices(scored: sqlite3.Connection) -> None:
    scored.execute("CREATE INDEX IF NOT EXISTS by_vector ON images (vector, digest)")
    scored.execute("CREATE INDEX IF NOT EXISTS by_digest ON images (digest, vector)")

    def plan(where: str) -> str:
        condition = Condition.parse(where)
        statement = f"EXPLAIN QUERY PLAN SELECT DISTINCT images.vector FROM {module._tables(condition)} WHERE ({condition.sql}) ORDER BY images.vector"
        return " | ".join(row[3] for row in scored.execute(statement))

    assert "SCAN" not in plan("tag('beach') and iso > 100")
    assert "SEARCH images USING COVERING INDEX by_digest" in plan("tag('beach')")
    assert "SCAN images USING COVERING INDEX by_vector" in plan("quality > 0.6")
    assert "SEARCH mark USING INDEX photos_by_digest" in plan("quality > 0.6")


def test_regions_of_photos_that_have_a_tag_or_a_score() -> None:
    database = made(
        [{"vector": at, "digest": f"d{at}", "path": str(at)} for at in range(3)],
        [{"region": at, "photo": at, "number": 0, "label": "dog", "area": 0.5} for at in range(3)],
    )
    database.execute("ATTACH ':memory:' AS marks")
    create_tables(database, "marks")
    database.executemany("INSERT INTO marks.photos (photo, digest, quality) VALUES (?, ?, ?)", [(0, "d0", 0.75), (1, "d1", 0.25)])
    database.execute("INSERT INTO marks.axes VALUES ('quality', 2)")
    database.execute("INSERT INTO marks.names VALUES (0, 'beach', 'beach')")
    database.execute("INSERT INTO marks.tagged VALUES (1, 0, 0.5, 0)")
    for where, expected in (
        ("region.label = 'dog' and quality > 0.5", [0]),
        ("region.label = 'dog' and tag('beach')", [1]),
        ("region.label = 'dog' and quality is null", [2]),
    ):
        found = matching_regions(database, where)
        assert found is not None
        assert found.tolist() == expected == matching_vectors(database, where).tolist()
        assert [at for at in range(3) if database.execute(row_statement('"path"', where), (at,)).fetchall()] == expected
    database.close()
