"""The main job as people do it: index, ask, look after, forget; with the encoder that ships."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.arguments import MINUS, protected
from search import ENCODERS, Library, Store

Command = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, skimage_photos: Path) -> Path:
    """A folder with real photos, one under a name in another script, one damaged, one not a photo."""
    folder = tmp_path / "my photos"
    shutil.copytree(skimage_photos, folder)
    (folder / "trip").mkdir()
    shutil.copyfile(folder / "coffee.png", folder / "trip" / "café 咖啡.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 damaged")
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELLUCID_LIBRARY", str(tmp_path / "library"))
    return tmp_path / "library"


@pytest.fixture
def indexed(here: Path, library: Path, pellucid: Command) -> Path:
    assert pellucid("index", here).code == 0
    return here


@pytest.fixture
def colours(photos: Path, library: Path, mean_colour_listed: str, monkeypatch: pytest.MonkeyPatch, pellucid: Command) -> Path:
    """Plain colour photos, indexed with the tiny encoder."""
    monkeypatch.setenv("PELLUCID_ENCODER", mean_colour_listed)
    assert pellucid("index", photos).code == 0
    return photos


def paths(ran: Any) -> list[str]:
    return [Path(line).name for line in ran.out.splitlines()]


# In a process of its own


def test_from_photos_to_answers(installed: Command, here: Path, library: Path, tmp_path: Path) -> None:
    first = installed("index", here)
    assert (first.code, first.err) == (0, "")
    assert "8 new, 1 copied; 10 photos found." in first.out
    assert "1 .txt" in first.out
    assert f"{here}/broken.jpg" in first.out
    again = installed("index", here, "--json")
    assert (again.json["same"], again.json["new"], list(again.json["failed_before"])) == (9, 0, [f"{here}/broken.jpg"])
    asked = installed("search", "a cup of coffee", "-k", "2", "--paths")
    assert (asked.code, asked.err) == (0, "")
    assert asked.out == f"{here}/coffee.png\n{here}/trip/café 咖啡.png\n"
    page = tmp_path / "page.html"
    alike = installed("search", here / "chelsea.png", "-k", "1", "--html", page)
    assert "chelsea.png" in alike.out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    seen = installed("doctor")
    assert (seen.code, "All is well with the library; the files above are not in it." in seen.out) == (0, True)


def test_two_builds_at_once(installed: Command, here: Path, library: Path) -> None:
    with subprocess.Popen([Path(sys.executable).with_name("pellucid"), "index", here], stdout=subprocess.DEVNULL) as first:
        lock = library / "lock"
        ends = time.monotonic() + 60
        while not (lock.is_file() and lock.read_text()) and time.monotonic() < ends:
            time.sleep(0.005)
        first.send_signal(signal.SIGSTOP)  # in the middle of its work, for as long as it takes
        try:
            second = installed("index", here)
            assert first.poll() is None
        finally:
            first.send_signal(signal.SIGCONT)
        assert first.wait(60) == 0
    assert (second.code, second.out) == (5, "")
    assert re.fullmatch(
        rf"pellucid: .* is held by process {first.pid} on .*Wait until it ends, or stop it, and run this again\.\n", second.err
    )
    assert Store(Library(library)).images().num_rows == 9


def test_an_interrupt_is_130_and_the_next_run_goes_on(
    pellucid: Command, photos: Path, library: Path, mean_colour_listed: str, make_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(make_encoder):  # type: ignore[misc]
        calls = 0

        def encode_images(self, prepared: Any) -> Any:
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().encode_images(prepared)

    with monkeypatch.context() as patch:
        patch.setitem(ENCODERS, "mean-colour", lambda _threads: Interrupted())  # type: ignore[arg-type]
        ran = pellucid("index", photos, "--encoder", mean_colour_listed)
    assert (ran.code, ran.err) == (130, "")
    assert "nothing to do" not in ran.out
    assert "10 photos found; the library has 4 now.\nInterrupted. What was done is kept; run the same command to go on." in ran.out
    rest = pellucid("index", photos, "--encoder", mean_colour_listed, "--json").json
    assert (rest["same"], rest["new"]) == (4, 6)


BAD = [
    (["search", "dog"], 4, "Nothing is indexed in .* yet"),
    (["search"], 2, "TERM"),
    (["search", ""], 2, "has no words"),
    (["search", "0:dog"], 2, "has the weight 0"),
    (["search", os.fsdecode(b"caf\xe9")], 2, "is not UTF-8"),
    (["search", "dog", "-k", "0"], 2, "-k"),
    (["search", "dog", "--json", "--paths"], 2, "choose one of"),
    (["search", "dog", "--unknown"], 2, "No such option"),
    (["index"], 2, "Give a folder to index"),
    (["index", "/nowhere/at/all"], 2, "There is no folder /nowhere/at/all"),
    (["index", "/dev/null"], 2, "There is no folder|is a file"),
    (["index", ".", "--max-megapixels", "0"], 2, "max_megapixels"),
    (["index", ".", "--jobs", "-1"], 2, "jobs"),
    (["index", ".", "--encoder", "x"], 2, "No encoder named 'x'"),
    (["forget", "x"], 4, "Nothing is indexed"),
    (["forget"], 2, "PATH"),
    (["stats"], 4, "Nothing is indexed"),
    (["doctor"], 4, "Nothing is indexed"),
    (["compact"], 4, "Nothing is indexed"),
    (["eval", "retrieval", "/nowhere"], 2, "captions.jsonl is missing"),
    (["eval", "zeroshot", "/nowhere"], 2, "There is no folder"),
    (["eval"], 2, "|retrieval"),
    (["nonsense"], 2, "No such command"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), BAD, ids=[" ".join(arguments)[:40].encode("ascii", "replace").decode() for arguments, _, _ in BAD]
)
def test_bad_input_is_one_message_and_a_code(arguments: list[str], code: int, message: str, pellucid: Command, library: Path) -> None:
    ran = pellucid(*arguments)
    assert ran.code == code
    assert re.search(message, ran.out + ran.err)
    assert "Traceback" not in ran.out + ran.err
    assert not (library / "store").exists() or arguments[0] == "index"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", "dog", "--where", "camra = 'x'"], 2, "Did you mean 'camera'"),
        (["search", "dog", "--encoder", "bultin"], 2, "Did you mean 'builtin'"),
        (["search", "dog", "--where", "1; drop table images"], 2, "one condition"),
        (["search", "/nowhere/dog.jpg"], 2, "There is no picture at"),
        (["search", "./broken.jpg"], 3, "broken.jpg"),
        (["search", "http://127.0.0.1/dog.jpg"], 3, "private or reserved network"),
        (["search", "dog", "--html", "/nowhere/page.html"], 2, "cannot be written"),
        (["search", "red", "--encoder", "builtin"], 6, "pellucid index --library .* --encoder builtin"),
        (["forget", "/nowhere"], 2, "Nothing of /nowhere is in"),
        (["index", "red.png"], 2, "red.png is a file"),
    ],
)
def test_bad_input_on_a_library(
    arguments: list[str], code: int, message: str, pellucid: Command, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(colours)
    Path("broken.jpg").write_bytes(b"\xff\xd8 damaged")
    ran = pellucid(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert re.search(message, ran.err)
    assert ran.err.startswith("pellucid: ")
    assert ran.err.count("\n") == 1


def test_odd_libraries(pellucid: Command, colours: Path, library: Path, tmp_path: Path) -> None:
    facts = json.loads((library / "library.json").read_text())
    (library / "library.json").write_text(json.dumps({**facts, "schema": 99}))
    ran = pellucid("search", "red")
    assert (ran.code, "Upgrade" in ran.err) == (6, True)
    (library / "library.json").write_text("{")
    for command in (["search", "red"], ["stats"], ["doctor"], ["index", colours]):
        assert pellucid(*command).code == 6
    ran = pellucid("index", colours, "--library", colours)
    assert (ran.code, "files of something else" in ran.err) == (6, True)
    ran = pellucid("index", colours, "--library", colours / "red.png")
    assert (ran.code, "is a file" in ran.err) == (6, True)


# Search


def test_ways_to_ask(pellucid: Command, colours: Path) -> None:
    assert paths(pellucid("search", "red", "-k", "1", "--paths")) == ["red.png"]
    assert paths(pellucid("search", "-k1", "--paths", "blue")) == ["blue.png"]
    assert paths(pellucid("search", colours / "cyan.png", "-k", 1, "--paths")) == ["cyan.png"]
    assert paths(pellucid("search", "-white", "-k", 1, "--paths")) == ["black.png"]
    assert paths(pellucid("search", "--paths", "-k", 1, "--", "-white")) == ["black.png"]
    assert paths(pellucid("search", "red", "10:green", "-k", 1, "--paths")) == ["green.png"]
    assert paths(pellucid("search", "red", "0.1:green", "-k", 1, "--paths")) == ["red.png"]
    assert paths(pellucid("search", "yellow", "-2:green", "-k", 1, "--paths"))[0] in ("red.png", "orange.png", "magenta.png")
    assert paths(pellucid("search", "red", "--where", "path like 'b%'", "--paths")) == []  # neither is red
    assert paths(pellucid("search", "red", "--where", "path like 'b%'", "--paths", "--strictness", 0)) == ["black.png", "blue.png"]
    assert len(paths(pellucid("search", "red", "-k", 99, "--paths"))) == 10


def test_a_picture_from_here(pellucid: Command, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(colours)
    assert paths(pellucid("search", "./green.png", "-k", 1, "--paths")) == ["green.png"]
    assert paths(pellucid("search", "-./white.png", "-k", 1, "--paths")) == ["black.png"]


def test_hits_as_json_and_as_a_table(pellucid: Command, colours: Path) -> None:
    document = pellucid("search", "red", "-0.01:blue", "-k", 3, "--json", "--where", "width > 1").json
    assert (document["terms"], document["where"]) == (["red", "-0.01:blue"], "width > 1")
    assert [list(hit)[:3] for hit in document["hits"]] == [["similarity", "z", "file"]] * 3
    assert document["hits"][0]["file"] == str(colours / "red.png")
    table = pellucid("search", "red", "-k", 3).out
    order = [table.index(hit["file"]) for hit in pellucid("search", "red", "-k", 3, "--json").json["hits"]]
    assert order == sorted(order)
    assert re.search(r"1\.000 +\+\d\.\d .*red\.png", table)


def test_no_hits_are_said(pellucid: Command, colours: Path) -> None:
    ran = pellucid("search", "red", "--where", "iso > 5")
    assert (ran.code, ran.out) == (0, "")
    assert "No photo meets the condition." in ran.err
    assert pellucid("search", "red", "--where", "iso > 5", "--json").json["hits"] == []


PROTECTED = [
    ([], []),
    (["index", "-x"], ["index", "-x"]),
    (["search", "-people"], ["search", f"{MINUS}people"]),
    (["search", "-2:people"], ["search", f"{MINUS}2:people"]),
    (["search", "-./a.jpg"], ["search", f"{MINUS}./a.jpg"]),
    (["search", "-k", "5"], ["search", "-k", "5"]),
    (["search", "-k5"], ["search", "-k5"]),
    (["search", "-k", "-5"], ["search", "-k", "-5"]),
    (["search", "-kitten"], ["search", f"{MINUS}kitten"]),
    (["search", "-h"], ["search", "-h"]),
    (["search", "-horse"], ["search", f"{MINUS}horse"]),
    (["search", "--json", "-dog"], ["search", "--json", f"{MINUS}dog"]),
    (["search", "--where", "-iso > 3"], ["search", "--where", "-iso > 3"]),
    (["search", "--library", "-x"], ["search", "--library", "-x"]),
    (["search", "--", "-dog"], ["search", "--", "-dog"]),
    (["search", "-a", "--", "-dog"], ["search", f"{MINUS}a", "--", "-dog"]),
    (["search", "-"], ["search", "-"]),
    (["search", "well-known"], ["search", "well-known"]),
]


@pytest.mark.parametrize(("arguments", "expected"), PROTECTED, ids=[" ".join(arguments) for arguments, _ in PROTECTED])
def test_a_minus_is_a_term_unless_it_is_an_option(arguments: list[str], expected: list[str]) -> None:
    assert protected(arguments) == expected


# Index


def test_index_options(pellucid: Command, photos: Path, library: Path, mean_colour_listed: str) -> None:
    (photos / ".hidden.png").write_bytes((photos / "red.png").read_bytes())
    common = ("--encoder", mean_colour_listed, "--json")
    dry = pellucid("index", photos, "--dry-run", *common)
    assert (dry.json["new"], dry.json["dry_run"], library.exists()) == (10, True, False)
    some = pellucid("index", photos, "--exclude", "b*", "--exclude", "*/white.png", "--exclude", "white.png", *common)
    assert (some.json["new"], some.json["found"]) == (7, 7)
    more = pellucid("index", photos, "--include-hidden", "--jobs", "1", *common)
    assert (more.json["new"], more.json["copied"], more.json["same"]) == (3, 1, 7)
    large = pellucid("index", photos, "--max-megapixels", "0.0001", *common)
    assert large.code == 0


def test_several_roots_and_none(
    pellucid: Command, photos: Path, library: Path, mean_colour_listed: str, tmp_path: Path, paint: Callable[..., Path]
) -> None:
    paint(tmp_path / "other" / "x.png", "red", seed=1)
    common = ("--encoder", mean_colour_listed, "--json")
    assert pellucid("index", photos, tmp_path / "other", *common).json["new"] == 11
    shutil.move(tmp_path / "other", tmp_path / "away")
    ran = pellucid("index", *common)
    assert (ran.code, ran.json["same"], ran.json["missing_roots"]) == (0, 10, {str(tmp_path / "other"): "is not there"})
    assert f"{tmp_path / 'other'} is not there; nothing of it was forgotten" in pellucid("index", "--encoder", mean_colour_listed).out


def test_failures_are_shown_with_their_reasons(pellucid: Command, photos: Path, library: Path, mean_colour_listed: str) -> None:
    for at in range(25):
        (photos / f"broken {at:02}.jpg").write_bytes(b"not a photo")
    ran = pellucid("index", photos, "--encoder", mean_colour_listed)
    assert ran.code == 0
    assert "25 files could not be indexed:" in ran.out
    assert "broken 00.jpg is not a photo inside" in ran.out
    assert "and 5 more: pellucid doctor --failures" in ran.out
    assert len(pellucid("doctor", "--json").json["failures"]) == 25
    assert "broken 24.jpg" in pellucid("doctor", "--failures").out


def test_names_that_are_not_utf8(pellucid: Command, photos: Path, library: Path, mean_colour_listed: str) -> None:
    try:
        for name in (b"caf\xe9.jpg", b"caf\xe9.txt"):
            (photos / os.fsdecode(name)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    ran = pellucid("index", photos, "--encoder", mean_colour_listed, "--json")
    assert ran.code == 0
    assert os.fsdecode(b"caf\xe9.txt") in ran.json["skipped"]
    assert any("is not UTF-8" in reason or "not UTF-8; rename" in reason for reason in ran.json["failed"].values())


HOSTILE = "\x1b[31mred\x1b[0m\n<img src=x onerror=alert(1)>\"'&.png"


def test_names_cannot_steer_a_terminal_or_a_page(
    pellucid: Command, photos: Path, library: Path, mean_colour_listed: str, tmp_path: Path, paint: Callable[..., Path]
) -> None:
    folder = tmp_path / "hostile"
    name = HOSTILE.replace("/", "")
    paint(folder / name, "red")
    (folder / "\x1b]0;title\x07.jpg").write_bytes(b"damaged")
    (folder / "x.\x1b[2J").write_bytes(b"odd suffix")
    outputs = [pellucid("index", folder, "--encoder", mean_colour_listed)]
    outputs.append(pellucid("search", "red", "--encoder", mean_colour_listed, "--html", tmp_path / "page.html"))
    outputs += [pellucid("search", "\x1b[31mred", "--encoder", mean_colour_listed), pellucid("doctor"), pellucid("stats")]
    outputs += [pellucid("search", "./\x1b[31m.jpg", "--encoder", mean_colour_listed), pellucid("forget", folder / "\x1b[none")]
    for ran in outputs:
        assert "\x1b" not in ran.out + ran.err
        assert "\x07" not in ran.out + ran.err
    assert "\\x1b[31mred" in outputs[1].out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "onerror" in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;.png" in page


# The contact sheet


def test_the_contact_sheet_needs_nothing_else(pellucid: Command, colours: Path, tmp_path: Path) -> None:
    (colours / "red.png").unlink()
    page = tmp_path / "page.html"
    assert pellucid("search", colours / "green.png", "red", "-k", "4", "--html", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href|url\(|@import)[=\s\"']*(https?:|//|file:|/)", text)
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) == 5 - text.count("cannot be opened")
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "<script" not in text
    assert "default-src 'none'" in text


def test_the_contact_sheet_escapes_the_question(pellucid: Command, colours: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert pellucid("search", "red <script>alert(1)</script>", "--html", page).code == 0
    assert "<script" not in page.read_text(encoding="utf-8")


# Looking after a library


def test_stats(pellucid: Command, indexed: Path, library: Path) -> None:
    facts = pellucid("stats", "--json").json
    assert (facts["photos"], facts["distinct_photos"], facts["failures"]) == (9, 8, 1)
    assert facts["roots"] == {str(indexed): 9}
    assert facts["formats"] == {"PNG": 8, "JPEG": 1}
    assert facts["recipe"]["encoder"] == "builtin"
    assert "photos: 9" in pellucid("stats").out


def test_doctor_finds_what_is_wrong(pellucid: Command, indexed: Path, library: Path) -> None:
    well = pellucid("doctor", "--json")
    assert (well.code, well.json["problems"], well.json["cache"], well.json["build_running"]) == (0, [], "fresh", False)
    assert [(failure["file"], failure["error"]) for failure in well.json["failures"]] == [(str(indexed / "broken.jpg"), "ImageCorrupt")]
    assert {"pellucid", "lancedb", "faiss-cpu"} <= set(well.json["versions"])
    shutil.rmtree(library / "cache")
    assert "stale" in pellucid("doctor", "--json").json["cache"]
    store = Store(Library(library))
    store.tables.delete(store.vector_table(str(store.library.file.current)), ["true"])
    ill = pellucid("doctor", "--json")
    assert (ill.code, ill.json["without_vector"]) == (1, 8)
    assert any("8 photos have no vector" in problem for problem in ill.json["problems"])
    assert "PROBLEM: 8 photos have no vector" in pellucid("doctor").out
    for manifest in library.rglob("images.lance/_versions/*"):
        manifest.write_bytes(b"damaged")
    broken = pellucid("doctor")
    assert (broken.code, "PROBLEM: " in broken.out) == (1, True)


def everything(folder: Path) -> bytes:
    return b"\0".join(os.fsencode(file) + file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.mark.parametrize("history", ["indexed once", "failed and healed", "changed", "failed now"])
def test_forget_leaves_nothing(history: str, pellucid: Command, colours: Path, library: Path, paint: Callable[..., Path]) -> None:
    secret = colours / "private" / "xq7-diary-page.png"
    paint(secret, "red", seed=1)
    if history == "failed and healed":
        secret.write_bytes(b"damaged")
        pellucid("index", colours)
        paint(secret, "red", seed=2)
    pellucid("index", colours)
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    if history == "changed":
        paint(secret, "red", seed=3)
        pellucid("index", colours)
    if history == "failed now":
        secret.write_bytes(b"damaged")
        pellucid("index", colours)
    pellucid("search", "red", "--json")
    before = everything(library)
    assert digest.encode() in before
    assert b"xq7-diary-page" in before
    ran = pellucid("forget", secret, "--json")
    assert ran.code == 0
    assert (ran.json["photos"], ran.json["still_on_disk"]) == ([str(secret)], [str(secret)])
    assert len(ran.json["vectors"]) == 1
    after = everything(library)
    assert b"xq7-diary-page" not in after
    assert digest.encode() not in after
    assert "xq7" not in pellucid("search", "red", "-k", "99", "--paths").out
    assert len(paths(pellucid("search", "red", "-k", "99", "--paths"))) == 10
    assert secret.is_file()
    assert (pellucid("forget", secret).code, pellucid("doctor").code) == (2, 0)


def test_forget_reaches_vectors_of_an_unfinished_build(
    pellucid: Command, colours: Path, library: Path, make_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(make_encoder):  # type: ignore[misc]
        def encode_images(self, prepared: Any) -> Any:
            if len(prepared) < self.batch_size:
                raise KeyboardInterrupt
            return super().encode_images(prepared)

    monkeypatch.setitem(ENCODERS, "finer", lambda _threads: Interrupted("finer"))  # type: ignore[arg-type]
    assert pellucid("index", "--encoder", "finer").code == 130
    digest = hashlib.sha256((colours / "black.png").read_bytes()).hexdigest()
    assert everything(library).count(digest.encode()) > 1
    assert pellucid("forget", colours / "black.png").code == 0
    assert digest.encode() not in everything(library)


def test_forget_a_copy_keeps_the_other(pellucid: Command, colours: Path) -> None:
    shutil.copyfile(colours / "red.png", colours / "copy.png")
    pellucid("index", colours)
    assert pellucid("forget", colours / "copy.png", "--json").json["vectors"] == []
    assert paths(pellucid("search", "red", "-k", "1", "--paths")) == ["red.png"]


def test_forget_a_folder_and_a_root_that_is_gone(pellucid: Command, colours: Path, library: Path, paint: Callable[..., Path]) -> None:
    for at in range(3):
        paint(colours / "sub" / f"{at}.png", "red", seed=at)
    paint(colours / "sub2" / "kept.png", "red", seed=9)
    pellucid("index", colours)
    shutil.rmtree(colours / "sub")
    assert "Forgot 3 photos and 3 vectors" in pellucid("forget", colours / "sub").out
    assert "kept.png" in paths(pellucid("search", "red", "-k", "99", "--paths"))
    shutil.rmtree(colours)
    assert len(pellucid("forget", colours, "--json").json["photos"]) == 11
    assert pellucid("stats", "--json").json["roots"] == {}
    assert os.fsencode(colours) not in everything(library)
    assert pellucid("search", "red", "--json").json["hits"] == []


def test_compact(pellucid: Command, colours: Path, library: Path, paint: Callable[..., Path]) -> None:
    for at in range(4):
        paint(colours / f"{at}.png", "red", seed=at)
        pellucid("index", colours)
    before = pellucid("search", "red", "--json").out
    ran = pellucid("compact")
    assert re.fullmatch(r"[\d.]+ MB before, [\d.]+ MB after\.\n", ran.out)
    assert pellucid("search", "red", "--json").out == before
    assert pellucid("doctor", "--json").json["cache"] == "fresh"
    assert len(list((library / "store" / "images.lance" / "_versions").glob("*.manifest"))) == 1


# Eval


def test_eval(pellucid: Command, photos: Path, tmp_path: Path, mean_colour_listed: str) -> None:
    (photos / "captions.jsonl").write_text(
        "".join(json.dumps({"image": f"{c}.png", "captions": [c]}) + "\n" for c in ("red", "green", "blue"))
    )
    ran = pellucid("eval", "retrieval", photos, "--encoder", mean_colour_listed, "--json")
    assert (ran.code, ran.json["text_to_image"]["recall_at_1"], ran.json["image_to_text"]["recall_at_10"]) == (0, 1.0, 1.0)
    shown = pellucid("eval", "retrieval", photos, "--encoder", mean_colour_listed)
    assert "recall_at_1: 1.000" in shown.out
    for colour in ("red", "blue"):
        (tmp_path / "set" / colour).mkdir(parents=True)
        shutil.copyfile(photos / f"{colour}.png", tmp_path / "set" / colour / "1.png")
    assert pellucid("eval", "zeroshot", tmp_path / "set", "--encoder", mean_colour_listed, "--json").json["top_1"] == 1.0


# The rest


@pytest.mark.parametrize("command", ["index", "search", "stats", "doctor", "forget", "compact", "eval", "eval retrieval", "eval zeroshot"])
def test_help(command: str, pellucid: Command) -> None:
    ran = pellucid(*command.split(), "--help")
    assert ran.code == 0
    assert "Usage" in ran.out


def test_version(pellucid: Command) -> None:
    from importlib.metadata import version

    assert pellucid("--version").out == f"pellucid {version('pellucid')}\n"


def test_a_closed_pipe_is_no_error(colours: Path) -> None:
    command = f'"{Path(sys.executable).with_name("pellucid")}" stats --json | true'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""
