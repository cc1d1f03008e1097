"""`pellucid dups`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from api.cli import app
from indexer import build
from preprocess import UnknownName, real_photos
from search import Library, Store, load_encoder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dups")
    (folder / "photos").mkdir()
    for name, pixels in zip(("astronaut", "cat [1]"), real_photos()[:2], strict=True):
        Image.fromarray(pixels).save(folder / "photos" / f"{name}.png")
        Image.fromarray(pixels[::2, ::2]).save(folder / "photos" / f"{name} small.jpg")
    (folder / "photos" / "same.png").write_bytes((folder / "photos" / "astronaut.png").read_bytes())
    build(Library(folder / "library", create=True), [folder / "photos"], load_encoder())
    return folder


def run(place: Path, *arguments: str) -> str:
    before = {file: file.read_bytes() for file in (place / "photos").iterdir()}
    result = CliRunner().invoke(app, ["dups", "--library", str(place / "library"), *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    assert {file: file.read_bytes() for file in (place / "photos").iterdir()} == before
    return result.stdout


def test_groups_for_people(place: Path) -> None:
    text = run(place)
    assert "best: larger" in text
    assert "cat [1] small.jpg" in text
    assert "3 groups (1 exact, 2 near) among 5 photos" in text
    assert text.rstrip().endswith("Nothing was deleted.")


def test_groups_for_programs(place: Path) -> None:
    facts = json.loads(run(place, "--json", "--kind", "near"))
    assert (facts["photos"], facts["unhashed"], facts["missing"]) == (5, 0, 0)
    assert {Path(group["best"]).name for group in facts["groups"]} == {"same.png", "cat [1].png"}
    for group in facts["groups"]:
        assert group["reason"].startswith("larger")
        assert group["photos"][0]["bits"] is None
        assert group["photos"][1]["bits"] <= 4


def test_names_of_all_but_the_best(place: Path) -> None:
    names = run(place, "--paths").splitlines()
    assert sorted(Path(name).name for name in names) == ["astronaut small.jpg", "astronaut.png", "cat [1] small.jpg"]
    assert all(Path(name).is_file() for name in names)


def test_a_page(place: Path, tmp_path: Path) -> None:
    run(place, "--html", str(tmp_path / "page.html"), "--where", "path LIKE 'cat%'")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 1
    assert page.count('src="data:image/') == 2
    assert "<strong>best</strong>: larger" in page


def test_none_is_an_answer(place: Path) -> None:
    assert run(place, "--kind", "burst").strip() == "No duplicates among 5 photos."


def test_an_unknown_kind_is_refused(place: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'near'"):
        run(place, "--kind", "nearly")


def test_an_older_library_says_what_is_missing(place: Path, tmp_path: Path) -> None:
    library = Library(tmp_path / "library", create=True)
    build(library, [place / "photos"], load_encoder())
    with library.locked("test"):
        Store(library).tables.update("images", "true", {"perceptual_hash": None})
    result = CliRunner().invoke(app, ["dups", "--library", str(library.folder)], catch_exceptions=False)
    assert "5 photos have no perceptual hash yet" in result.stderr
    assert "near" not in result.stdout
    result = CliRunner().invoke(app, ["index", "--library", str(library.folder)], catch_exceptions=False)
    assert "Read once more for perceptual hashes and measures" in result.stdout
    assert "perceptual hash yet" not in CliRunner().invoke(app, ["dups", "--library", str(library.folder)]).stderr
