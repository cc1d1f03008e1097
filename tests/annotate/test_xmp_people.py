"""Which keywords of a sidecar are people's, once we have written there too."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from annotate.xmp import retract_sidecar, write_sidecar
from annotate.xmp_items import Keyword, XmpItems, keyword_items
from annotate.xmp_journal import open_journal
from annotate.xmp_people import PeopleKeywords

PEOPLE = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/">
  <dc:subject><rdf:Bag><rdf:li>Rome</rdf:li></rdf:Bag></dc:subject>
  <lr:hierarchicalSubject><rdf:Bag><rdf:li>animals|cat</rdf:li></rdf:Bag></lr:hierarchicalSubject>
 </rdf:Description></rdf:RDF></x:xmpmeta>
"""


def ours(*levels: tuple[str, ...], prefix: str = "auto|") -> XmpItems:
    return keyword_items([Keyword(each) for each in levels], prefix)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos" / "IMG_1.jpg"


def write(photo: Path, folder: Path, items: XmpItems, run: str = "r1") -> Path:
    sidecar = photo.with_suffix(".xmp")
    with open_journal(folder) as journal:
        write_sidecar(sidecar, items, journal, run)
    return sidecar


def test_without_a_journal_all_are_people_s(photo: Path, tmp_path: Path) -> None:
    photo.with_suffix(".xmp").write_text(PEOPLE)
    assert set(PeopleKeywords(tmp_path / "library")(photo)) == {"Rome", "animals", "cat"}


def test_ours_are_left_out_and_shared_levels_stay(photo: Path, tmp_path: Path) -> None:
    photo.with_suffix(".xmp").write_text(PEOPLE)
    write(photo, tmp_path, ours(("animals", "dog"), ("café",)))
    assert set(PeopleKeywords(tmp_path)(photo)) == {"Rome", "animals", "cat"}


def test_what_people_had_before_stays_theirs(photo: Path, tmp_path: Path) -> None:
    photo.with_suffix(".xmp").write_text(PEOPLE)
    write(photo, tmp_path, ours(("ROME",), prefix=""))
    assert "Rome" in PeopleKeywords(tmp_path)(photo)


def test_copies_into_other_programs_lists_are_ours_too(photo: Path, tmp_path: Path) -> None:
    photo.with_suffix(".xmp").write_text(PEOPLE)
    sidecar = write(photo, tmp_path, ours(("animals", "dog")))
    listed = ' xmlns:digiKam="http://www.digikam.org/ns/1.0/"><digiKam:TagsList><rdf:Seq><rdf:li>animals/dog</rdf:li><rdf:li>mine</rdf:li></rdf:Seq></digiKam:TagsList>'
    sidecar.write_text(sidecar.read_text().replace(">\n  <dc:subject", f"{listed}\n  <dc:subject", 1))
    assert set(PeopleKeywords(tmp_path)(photo)) == {"Rome", "animals", "cat", "mine"}


def test_what_a_retracted_run_had_is_nobody_s(photo: Path, tmp_path: Path) -> None:
    sidecar = write(photo, tmp_path, ours(("dog",)))
    with open_journal(tmp_path) as journal:
        retract_sidecar(sidecar, journal, "r1")
    sidecar.write_text(PEOPLE.replace("Rome", "dog"))
    assert set(PeopleKeywords(tmp_path)(photo)) == {"dog", "animals", "cat"}


def test_both_styles_are_looked_at(photo: Path, tmp_path: Path) -> None:
    photo.with_suffix(".xmp").write_text(PEOPLE)
    with open_journal(tmp_path) as journal:
        write_sidecar(photo.with_name("IMG_1.jpg.xmp"), ours(("dog",), ("Rome",)), journal, "r1")
    assert set(PeopleKeywords(tmp_path)(photo)) == {"Rome", "animals", "cat"}


def test_a_sidecar_that_is_not_understood_costs_nothing(photo: Path, tmp_path: Path) -> None:
    sidecar = write(photo, tmp_path, ours(("dog",)))
    sidecar.write_bytes(b"<not xml")
    assert PeopleKeywords(tmp_path)(photo) == ()


def moved(photo: Path, to: str) -> Path:
    """A photo and its sidecar in another folder."""
    there = photo.parent.parent / to / photo.name
    photo.parent.rename(there.parent)
    return there


def test_a_moved_sidecar_is_known_again_and_stays_known(photo: Path, tmp_path: Path) -> None:
    photo.write_bytes(b"a photo")
    photo.with_suffix(".xmp").write_text(PEOPLE)
    with open_journal(tmp_path) as journal:
        digest = {photo.name: hashlib.sha256(b"a photo").hexdigest()}
        write_sidecar(photo.with_suffix(".xmp"), ours(("animals", "dog")), journal, "r1", digest)
    there = moved(photo, "elsewhere")
    assert set(PeopleKeywords(tmp_path)(there)) == {"Rome", "animals", "cat"}
    file = there.with_suffix(".xmp")
    file.write_text(file.read_text().replace("Rome", "Roma"))
    there.write_bytes(b"another photo")
    assert set(PeopleKeywords(tmp_path)(there)) == {"Roma", "animals", "cat"}
    assert set(PeopleKeywords(tmp_path / "another library")(there)) == {"Roma", "auto", "animals", "cat", "dog"}


def test_a_journal_that_cannot_be_written_costs_no_keyword(photo: Path, tmp_path: Path) -> None:
    write(photo, tmp_path, ours(("dog",)))
    there = moved(photo, "elsewhere")
    keywords = PeopleKeywords(tmp_path)
    (tmp_path / "xmp.jsonl").unlink()
    (tmp_path / "xmp.jsonl").mkdir()
    assert keywords(there) == ()


def test_many_threads_follow_each_sidecar_once(photo: Path, tmp_path: Path) -> None:
    photos = [photo.with_name(f"{at}.jpg") for at in range(40)]
    for one in photos:
        write(one, tmp_path, ours(("dog",)))
    keywords = PeopleKeywords(tmp_path)
    folder = moved(photo, "elsewhere").parent
    places = [folder / one.name for one in photos]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(keywords, places * 2)) == {()}
    with open_journal(tmp_path) as journal:
        assert set(journal.sidecars("r1")) == {one.with_suffix(".xmp") for one in places}
