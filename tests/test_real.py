"""Real photos: hostile files, orientations, and what the encoder that ships reaches. Skipped where the evaluation data is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexer import build
from preprocess import decode
from search import Library, Query, Store, Term, evaluate_retrieval, evaluate_zeroshot, load_encoder, search

# Floors of the built-in encoder, well below what its model card says and far above chance. Raised with the model, never lowered.
RECALL_AT_10 = {"retrieval-coco": 0.45, "retrieval-flickr": 0.40}  # chance: 0.04 and 0.067
TOP_1_TINY_IMAGENET = 0.33  # 200 classes; chance: 0.005
TOP_5_IMAGENET = 0.095  # 1,000 classes; chance: 0.005
UNSEEN_AT_10 = 0.4  # words that are in no training text; chance: 0.09
PEAK_BYTES = 1.5e9

Shared = Callable[[str], Path]


def test_orientations_of_one_picture_are_each_others_nearest(shared: Shared, tmp_path: Path) -> None:
    orientation, others = shared("eval/orientation"), shared("eval/retrieval-flickr")
    library, encoder = Library(tmp_path / "library", create=True), load_encoder()
    build(library, [orientation, others], encoder)
    files = sorted(orientation.glob("*.jpg"))
    assert len(files) == 9
    for file in files:
        hits = search(library, Query((Term(str(file), kind="file"),), k=len(files)), encoder)
        assert {hit.file for hit in hits} == set(map(str, files)), file.name


RUN = """
import sys
from api.cli import main
from search._bench_child import peak_bytes
try:
    main()
finally:
    sys.stderr.write(f"PEAK {peak_bytes()}")
"""


def test_hostile_files_are_indexed_or_listed_with_a_reason(shared: Shared, tmp_path: Path) -> None:
    folder = shared("eval/formats")
    command = [sys.executable, "-c", RUN, "index", folder, "--library", tmp_path / "library", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    indexed = set(Store(Library(tmp_path / "library")).images(["path"])["path"].to_pylist())
    failed = {str(Path(file).relative_to(folder)): reason for file, reason in report["failed"].items()}
    skipped = report["skipped"]
    every = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert every == indexed | set(failed) | set(skipped)
    assert not indexed & set(failed)
    assert all(len(reason) > 15 for reason in [*failed.values(), *skipped.values()])
    assert len(indexed) > 0.85 * len(every)
    assert int(done.stderr.rpartition("PEAK ")[2]) < PEAK_BYTES


def test_the_originals_may_be_read_only(shared: Shared, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(shared("eval/orientation"), folder)
    for file in [*folder.iterdir(), folder]:
        file.chmod(0o555 if file.is_dir() else 0o444)
    before = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}
    report = build(Library(tmp_path / "library", create=True), [folder], load_encoder())
    assert (report.new, report.failed) == (9, {})
    assert {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()} == before
    folder.chmod(0o755)


@pytest.mark.parametrize("name", list(RECALL_AT_10))
def test_words_find_photos_and_photos_words(name: str, shared: Shared) -> None:
    figures = evaluate_retrieval(shared(f"eval/{name}"), load_encoder())
    print(json.dumps(figures))
    assert figures["text_to_image"]["recall_at_10"] >= RECALL_AT_10[name]
    assert figures["image_to_text"]["recall_at_10"] >= RECALL_AT_10[name] / 2
    assert figures["text_to_image"]["recall_at_1"] > 5 / figures["photos"]


@pytest.mark.parametrize(
    ("name", "figure", "floor"), [("tiny-imagenet-val", "top_1", TOP_1_TINY_IMAGENET), ("imagenet-samples", "top_5", TOP_5_IMAGENET)]
)
def test_photos_are_named(name: str, figure: str, floor: float, shared: Shared) -> None:
    figures = evaluate_zeroshot(shared(f"eval/{name}"), load_encoder())
    print(json.dumps(figures))
    assert figures[figure] >= floor


UNSEEN = Path(__file__).parents[1] / "training" / "unseen_words.tsv"


def unseen_words() -> dict[str, frozenset[str]]:
    rows = [line.split("\t") for line in UNSEEN.read_text().splitlines() if not line.startswith("#")]
    return {word: frozenset(labels.split(",")) for word, labels in rows}


def test_the_unseen_words_are_in_no_training_text(shared: Shared) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    seen: set[str] = set()
    for file in sorted(shared("train").glob("*.parquet")):
        if file.stem != "quality":
            for texts in pq.read_table(file, columns=["texts"])["texts"].to_pylist():
                seen.update(re.findall(r"[a-z]+", " ".join(texts).lower()))
    assert "dog" in seen
    assert len(unseen_words()) == 50
    assert not {word for word in unseen_words() if {word, f"{word}s"} & seen}


def test_words_that_were_never_seen_with_a_photo_find_their_neighbours(shared: Shared) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    encoder = load_encoder()
    rows = pq.read_table(shared("eval/tiny-imagenet-val") / "photos.parquet").to_pylist()
    photos = encoder.encode_images([encoder.prepare(decode(row["image"], "photo").pixels) for row in rows])
    words = unseen_words()
    said = encoder.encode_texts([f"a photo of a {word}" for word in words])
    top = np.argsort(-(said @ photos.T), 1)[:, :10]
    found = [any(rows[at]["label"] in wanted for at in row) for row, wanted in zip(top, words.values(), strict=True)]
    print(json.dumps({"recall_at_10": float(np.mean(found))}))
    assert np.mean(found) >= UNSEEN_AT_10
