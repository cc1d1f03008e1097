"""What is read from a sidecar's bytes, and that an edit leaves every other byte alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.xmp_document import KINDS, XmpDocument
from annotate.xmp_items import Keyword, NamedArea, XmpItems, keyword_items
from annotate.xmp_markup import NEW_SIDECAR
from annotate.xmp_tree import RDF
from preprocess import sidecar_keywords

SAMPLES = sorted(Path(__file__).parent.glob("*.xmp"))
WANTED = XmpItems(
    ("dog", "a, b & <c>", "日本 🐕"),
    ("auto|animals|dog", 'auto|it\'s "quoted"'),
    (NamedArea("dog", "Pet", 0.25, 0.75, 0.1, 0.2), NamedArea("sky", "", 0.5, 0.1, 1.0, 0.2)),
    (4000, 3000),
)
BARE = f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about=""/></rdf:RDF>'

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool (libimage-exiftool-perl) is not installed")


def bare(inner: str, scope: str = "") -> bytes:
    return f'<rdf:RDF xmlns:rdf="{RDF}" {scope}><rdf:Description rdf:about="">{inner}</rdf:Description></rdf:RDF>'.encode()


# Reading


@pytest.mark.parametrize(
    ("sample", "subjects", "paths", "areas", "size_wh"),
    [
        ("lightroom.xmp", ("beach", "Rome"), ("Places|Italy|Rome", "beach"), ["Ada"], (4000, 3000)),
        ("darktable.jpg.xmp", ("darktable|exported", "lake"), ("nature|water|lake",), [], (0, 0)),
        ("digikam.xmp", ("Grace",), ("People|Grace",), ["Grace"], (4000, 3000)),
        ("capture_one.xmp", ("harbour", "boats, small"), (), [], (0, 0)),
        ("exiftool.xmp", (), (), ["Vuk"], (4000, 3000)),  # the focus point is a circle
        ("old_adobe.xmp", (), (), [], (0, 0)),
    ],
)
def test_items_of_other_programs(sample: str, subjects: tuple[str, ...], paths: tuple[str, ...], areas: list[str], size_wh: Any) -> None:
    items = XmpDocument((Path(__file__).parent / sample).read_bytes()).items()
    assert (items.subjects, items.paths, items.size_wh) == (subjects, paths, size_wh)
    assert [area.name for area in items.areas] == areas


def test_areas_in_each_form() -> None:
    digikam = XmpDocument((Path(__file__).parent / "digikam.xmp").read_bytes()).items()
    assert digikam.areas == (NamedArea("Grace", "Face", 0.25, 0.4, 0.3, 0.4),)
    lightroom = XmpDocument((Path(__file__).parent / "lightroom.xmp").read_bytes()).items()
    assert lightroom.areas == (NamedArea("Ada", "Face", 0.4159, 0.3372, 0.0866, 0.1155),)


@pytest.mark.parametrize(
    "area", ['a:x="nan" a:y="0" a:w="0" a:h="0"', 'a:x="0.5" a:y="0.5" a:d="0.1"', 'a:x="5" a:y="5" a:w="9" a:h="9" a:unit="pixel"', ""]
)
def test_areas_that_are_none_of_ours_stay(area: str) -> None:
    scope = 'xmlns:m="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:a="http://ns.adobe.com/xmp/sType/Area#"'
    region = f'<rdf:li rdf:parseType="Resource"><m:Area {area}/></rdf:li>'
    inner = f'<m:Regions rdf:parseType="Resource"><m:RegionList><rdf:Bag>{region}</rdf:Bag></m:RegionList></m:Regions>'
    document = XmpDocument(bare(inner, scope))
    assert document.items().areas == ()
    after = document.added(WANTED)
    assert region.encode() in after
    assert XmpDocument(after).items().areas == WANTED.areas


# Adding and removing


def encodings(text: str) -> dict[str, bytes]:
    body = text.replace('encoding="UTF-8"', 'encoding="UTF-16"')
    latin = text.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"') if text.startswith("<?xml ") else ""
    return {
        "utf-8": text.encode(),
        "utf-8 with a mark": b"\xef\xbb\xbf" + text.encode(),
        "carriage returns": text.replace("\n", "\r\n").encode(),
        "utf-16-le": b"\xff\xfe" + body.encode("utf-16-le"),
        "utf-16-be": b"\xfe\xff" + body.encode("utf-16-be"),
        "utf-16-le without a mark": body.encode("utf-16-le"),
        "utf-32-be": b"\0\0\xfe\xff" + text.replace('encoding="UTF-8"', 'encoding="UTF-32"').encode("utf-32-be"),
        "one line": text.replace("\n", "").encode(),
        **({"latin-1": latin.encode("latin-1", "xmlcharrefreplace")} if latin else {}),
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_adding_keeps_every_byte_and_removing_undoes_it(sample: Path) -> None:
    for name, before in encodings(sample.read_bytes().decode()).items():
        document = XmpDocument(before)
        after = document.added(WANTED)
        then = XmpDocument(after)
        assert not WANTED.minus(then.items()), name
        assert not document.items().minus(then.items()), name
        assert inserted_only(before, after), name
        made = KINDS.keys() - document.lists()
        back = then.without(WANTED, made)
        if sample.name == "old_adobe.xmp":  # its description was written without an end tag
            assert XmpDocument(back).items() == XmpItems(), name
        else:
            assert back == before, name


def inserted_only(before: bytes, after: bytes) -> bool:
    """Whether all bytes are still there in their order; the slash of `/>` may have gone to an end tag of its own."""
    at = 0
    for byte in before:
        at = after.find(byte, at) + 1
        if not at:
            return False
    return True


def wanted_in(name: str) -> XmpItems:
    """In UTF-16, exiftool 12.57 reads no characters beyond the first 65,536."""
    return replace(WANTED, subjects=WANTED.subjects[:2]) if name == "wide.xmp" else WANTED


@pytest.fixture(scope="module")
def read_by_exiftool(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What exiftool reads from each sample before and after; once for all, because it takes half a second to start."""
    folder = tmp_path_factory.mktemp("xmp")
    before_of = {sample.name: sample.read_bytes() for sample in SAMPLES}
    wide = b"\xff\xfe" + before_of["digikam.xmp"].decode().encode("utf-16-le")
    for name, before in {**before_of, "wide.xmp": wide, "new.xmp": NEW_SIDECAR}.items():
        (folder / f"old {name}").write_bytes(before)
        (folder / f"new {name}").write_bytes(XmpDocument(before).added(wanted_in(name)))
    done = subprocess.run(["exiftool", "-struct", "-j", "-XMP:all", "-G1", str(folder)], capture_output=True, text=True, timeout=60)
    return {Path(row.pop("SourceFile")).name: row for row in json.loads(done.stdout)}


@pytest.mark.parametrize("name", [*(sample.name for sample in SAMPLES), "wide.xmp", "new.xmp"])
@needs_exiftool
def test_exiftool_reads_what_was_added_and_all_the_rest(name: str, read_by_exiftool: dict[str, Any]) -> None:
    there, now = read_by_exiftool[f"old {name}"], read_by_exiftool[f"new {name}"]
    assert there.keys() <= now.keys()
    ours = {"XMP-dc:Subject", "XMP-lr:HierarchicalSubject", "XMP-mwg-rs:RegionInfo"}
    assert now.keys() - there.keys() <= {*ours, "XMP-rdf:About"}  # which exiftool does not report of an empty description
    assert {name: now[name] for name in there if name not in ours} == {name: there[name] for name in there if name not in ours}
    assert [str(one) for one in as_list(now["XMP-dc:Subject"])] == [*as_list(there.get("XMP-dc:Subject", [])), *wanted_in(name).subjects]
    assert as_list(now["XMP-lr:HierarchicalSubject"]) == [*as_list(there.get("XMP-lr:HierarchicalSubject", [])), *WANTED.paths]
    regions, known = now["XMP-mwg-rs:RegionInfo"], there.get("XMP-mwg-rs:RegionInfo", {"RegionList": []})["RegionList"]
    assert regions["AppliedToDimensions"] == {"W": 4000, "H": 3000, "Unit": "pixel"}
    assert regions["RegionList"][: len(known)] == known
    assert regions["RegionList"][len(known) :] == [
        {"Name": "dog", "Type": "Pet", "Area": {"X": 0.25, "Y": 0.75, "W": 0.1, "H": 0.2, "Unit": "normalized"}},
        {"Name": "sky", "Area": {"X": 0.5, "Y": 0.1, "W": 1.0, "H": 0.2, "Unit": "normalized"}},
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    "before",
    [
        BARE.encode(),
        f'<RDF xmlns="{RDF}"/>'.encode(),
        f'<RDF xmlns="{RDF}"><Description><x xmlns="urn:x" xmlns:rdf="urn:y" xmlns:dc="urn:z"/></Description></RDF>'.encode(),
        f'<RDF xmlns="{RDF}" xmlns:rdf="urn:y" xmlns:dc="urn:z" xmlns:lr="{RDF}"><Description/></RDF>'.encode(),
        bare("<dc:subject/>", 'xmlns:dc="http://purl.org/dc/elements/1.1/"'),
        bare("<d:subject></d:subject>", 'xmlns:d="http://purl.org/dc/elements/1.1/"'),
        bare("<d:subject><rdf:Alt/></d:subject>", 'xmlns:d="http://purl.org/dc/elements/1.1/"'),
        bare("<m:Regions/>", 'xmlns:m="http://www.metadataworkinggroup.com/schemas/regions/"'),
        bare('<m:Regions rdf:parseType="Resource"/>', 'xmlns:m="http://www.metadataworkinggroup.com/schemas/regions/"'),
        bare("<m:Regions><rdf:Description/></m:Regions>", 'xmlns:m="http://www.metadataworkinggroup.com/schemas/regions/"'),
        bare(
            '<m:Regions rdf:parseType="Resource"><m:RegionList/></m:Regions>',
            'xmlns:m="http://www.metadataworkinggroup.com/schemas/regions/"',
        ),
    ],
)
def test_sparse_documents(before: bytes, tmp_path: Path) -> None:
    after = XmpDocument(before).added(WANTED)
    assert not WANTED.minus(XmpDocument(after).items())
    assert inserted_only(before.replace(b"/>", b">"), after)
    (tmp_path / "a.xmp").write_bytes(after)
    assert {"dog", "animals"} <= set(sidecar_keywords(tmp_path / "a.jpg"))


def test_a_list_is_not_removed_that_was_there_empty() -> None:
    before = bare("<d:subject><rdf:Bag></rdf:Bag></d:subject>", 'xmlns:d="http://purl.org/dc/elements/1.1/"')
    words = XmpItems(("dog",))
    assert XmpDocument(XmpDocument(before).added(words)).without(words) == before


def test_of_two_equal_keywords_one_goes() -> None:
    lists = "<d:subject><rdf:Bag><rdf:li>sea</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></d:subject>"
    before = bare(lists, 'xmlns:d="http://purl.org/dc/elements/1.1/"')
    assert XmpDocument(XmpDocument(before).without(XmpItems(("sea",)))).items().subjects == ("sea",)


def test_a_character_that_the_encoding_has_not() -> None:
    before = b'<?xml version="1.0" encoding="windows-1252"?>' + BARE.encode().replace(b'""', b'"\x80"')
    after = XmpDocument(before).added(XmpItems(("\u20ac 🐕",)))
    assert b"\x80 &#128021;" in after
    assert XmpDocument(after).items().subjects == ("€ 🐕",)


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff|"), min_size=1, max_size=12)
keywords = st.lists(
    words.filter(lambda text: bool(text.split())).map(
        lambda text: Keyword(tuple(text.split("/")[:3] if all(p.split() for p in text.split("/")) else [text]))
    ),
    max_size=8,
)
shares = st.floats(0.05, 0.95).map(lambda number: round(number, 6))
areas = st.lists(
    st.builds(NamedArea, st.sampled_from(["dog", "sea & <sky>", "Été"]), st.sampled_from(["", "Pet"]), shares, shares, shares, shares),
    max_size=4,
)


@given(keywords, areas, st.sampled_from(SAMPLES), st.sampled_from(["utf-8", "carriage returns", "utf-16-le", "one line"]))
@settings(max_examples=40, deadline=None)
def test_whatever_is_added_is_read_and_goes_again(
    given_words: list[Keyword], given_areas: list[NamedArea], sample: Path, kind: str
) -> None:
    before = encodings(sample.read_bytes().decode())[kind]
    document = XmpDocument(before)
    wanted = keyword_items(given_words, "auto|").plus(XmpItems(areas=tuple(given_areas), size_wh=(4000, 3000)))
    adds = wanted.minus(document.items())
    after = XmpDocument(document.added(adds))
    assert set(adds.subjects) <= set(after.items().subjects)
    assert not wanted.minus(after.items())
    assert inserted_only(before, document.added(adds))
    left = XmpDocument(after.without(adds, KINDS.keys() - document.lists())).items()
    assert (left.subjects, left.paths, left.areas) == (document.items().subjects, document.items().paths, document.items().areas)
