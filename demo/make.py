"""The demo: index the photos that scikit-image and scikit-learn carry with their regions, ask them five questions in words, one by picture, one that
only a region answers and one that has no answer, tag them, and find the copies among them.

Run it with `make demo`. Everything it makes lies in `demo/`: photos, library, `index.html`.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from api.hits_output import hits_table, print_answer
from api.output import console, progress_bar, report_summary
from api.sheet import Answered, contact_sheet
from api.wiring import write_text
from indexer import BuildOptions, build
from preprocess import add_haze
from search import (
    PLAIN,
    STRICTNESS,
    DuplicateOptions,
    Library,
    Query,
    Store,
    TagOptions,
    TagRequest,
    Term,
    answer,
    find_duplicates,
    load_encoder,
    load_tagger,
    load_vocabulary,
    open_derived,
    run_tagging,
    search,
)

if TYPE_CHECKING:
    from search import Encoder

HERE = Path(__file__).parent
NAMES = {
    "astronaut.png": "astronaut", "camera.png": "cameraman", "chelsea.png": "cat", "coffee.png": "coffee", "coins.png": "coins",
    "rocket.jpg": "rocket", "motorcycle_left.png": "motorcycle", "hubble_deep_field.jpg": "galaxies", "moon.png": "moon",
    "brick.png": "bricks", "grass.png": "grass", "gravel.png": "gravel", "page.png": "page", "retina.jpg": "retina", "ihc.png": "tissue",
    "clock_motion.png": "clock", "color.png": "colours", "horse.png": "horse", "text.png": "handwriting", "china.jpg": "temple",
    "flower.jpg": "flower",
}  # fmt: skip
UNANSWERED = "penguins on ice"
SMALL = "a small cat before the temple.jpg"
QUESTIONS = ("a cat", "a cup of coffee", "a flower", "a motorcycle", "a black and white photo of a man")


def gather(folder: Path) -> int:
    """Copy the real photos under plain names, with crops, resized and hazed copies and one exact copy beside them; how many files there are."""
    import skimage
    import sklearn.datasets

    sources = [Path(skimage.__file__).parent / "data", Path(sklearn.datasets.__file__).parent / "images"]
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "edited").mkdir(parents=True)
    for name, plain in NAMES.items():
        source = next((place / name for place in sources if (place / name).is_file()), None)
        if source is None:
            continue
        shutil.copyfile(source, folder / f"{plain}{source.suffix}")
        if plain in ("cat", "coffee", "flower", "temple", "motorcycle", "astronaut"):
            with Image.open(source) as image:
                photo = image.convert("RGB")
            width, height = photo.size
            photo.resize((width // 2, height // 2), Image.Resampling.LANCZOS).save(
                folder / "edited" / f"{plain} at half size.jpg", quality=85
            )
            photo.crop((width // 8, height // 8, width * 7 // 8, height * 7 // 8)).save(
                folder / "edited" / f"{plain} cropped.webp", quality=80
            )
        if plain in ("coffee", "temple", "motorcycle"):
            Image.fromarray(add_haze(np.asarray(photo), 0.25, plain)).save(folder / "edited" / f"{plain} in haze.jpg", quality=90)
    shutil.copyfile(folder / "cat.png", folder / "edited" / "a copy of cat.png")
    with Image.open(folder / "temple.jpg") as scene, Image.open(folder / "cat.png") as cat:
        small = cat.convert("RGB").resize((165, 110), Image.Resampling.LANCZOS)
        scene.paste(small, (440, 290))
        scene.save(folder / "edited" / SMALL, quality=90)
    return sum(file.is_file() for file in folder.rglob("*"))


def _within(box: tuple[float, float, float, float]) -> bool:
    """Whether the middle of a region lies where the small cat was pasted."""
    return 440 < (box[0] + box[2]) / 2 < 605 and 290 < (box[1] + box[3]) / 2 < 400


def tags_and_copies(library: Library, encoder: Encoder) -> list[set[str]]:
    """Tag the photos, find copies of them, and print both; the names in each group of files with the same bytes."""
    out = console()
    with library.locked("tag"):
        report = run_tagging(Store(library), load_tagger(encoder, load_vocabulary("photo")), TagRequest("photo", "builtin"), TagOptions())
    words = ", ".join(f"{tag} {count}" for tag, count in report.by_tag.most_common(8))
    out.print(
        f"{report.tags} tags on {report.photos - report.without} of {report.photos} photos, each at least as likely right as not: {words}, ..."
    )
    derived = open_derived(library)
    try:
        groups = find_duplicates(derived, DuplicateOptions(("exact", "near"))).groups
    finally:
        derived.close()
    for group in groups:
        others = ", ".join(frame.path for frame in group.frames if frame is not group.best)
        out.print(f"{group.kind} copies: {group.best.path} is the best ({group.reason}) of itself and {others}")
    return [{frame.path for frame in group.frames} for group in groups if group.kind == "exact"]


def main() -> int:
    """Index, ask, print, write the contact sheet; fails when an answer is plainly wrong."""
    start = time.perf_counter()
    out = console()
    photos = HERE / "photos"
    out.print(f"{gather(photos)} photos gathered in {photos}.")
    shutil.rmtree(HERE / "library", ignore_errors=True)
    library, encoder = Library(HERE / "library", create=True), load_encoder()
    with progress_bar(True) as move:
        report = build(library, [photos], encoder, BuildOptions(regions="builtin+proposals"), on_progress=move)
    report_summary(report)
    answers, seen_through = [], False
    for question in QUESTIONS:
        hits = search(library, Query((Term.parse(question),), k=6, within="images", strictness=STRICTNESS), encoder)
        hits_table(hits, f"\N{LEFT DOUBLE QUOTATION MARK}{question}\N{RIGHT DOUBLE QUOTATION MARK}")
        answers.append(Answered(question, hits))
        seen_through |= any(hit.path == "edited/coffee in haze.jpg" and hit.enhancer != PLAIN for hit in hits)
    picture = photos / "edited" / "cat at half size.jpg"
    hits = search(library, Query((Term(str(picture), kind="file"),), k=6, within="images", strictness=STRICTNESS), encoder)
    hits_table(hits, "Like this picture: cat at half size.jpg")
    answers.append(Answered("Like this picture", hits, picture))
    parts = search(library, Query((Term.parse("a cat"),), k=6, within="regions", strictness=STRICTNESS), encoder)
    hits_table(parts, "\N{LEFT DOUBLE QUOTATION MARK}a cat\N{RIGHT DOUBLE QUOTATION MARK} as a part of a photo")
    answers.append(Answered("a cat, as a part of a photo", parts))
    nothing = answer(library, Query((Term.parse(UNANSWERED),), k=6, strictness=STRICTNESS), encoder)
    print_answer(nothing, [UNANSWERED])
    answers.append(Answered(f"{UNANSWERED}: nothing here matches", nothing.hits, None, nothing.nearest_miss))
    copies = tags_and_copies(library, encoder)
    write_text(HERE / "index.html", contact_sheet("Pellucid demo", f"{report.found} photos, {len(answers)} searches", answers))
    out.print(f"Pictures of all answers: {HERE / 'index.html'}")
    out.print(
        f"Done in {time.perf_counter() - start:.1f} s. Next: .venv/bin/pellucid index ~/Pictures, then .venv/bin/pellucid search 'a dog on a beach'"
    )
    if report.failed or not {"cat.png", "edited/a copy of cat.png"} <= {hit.path for hit in hits}:
        out.print("The demo's own check failed: the small cat does not find the cat.")
        return 1
    found = next((hit.region for hit in parts if hit.path == f"edited/{SMALL}"), None)
    if found is None or not _within(found.box_xyxy):
        out.print(f"The demo's own check failed: the cat is not found in its corner of {SMALL!r}.")
        return 1
    if not seen_through:
        out.print("The demo's own check failed: the coffee in haze is not found through its dehazed version.")
        return 1
    if nothing.verdict != "none":
        out.print(f"The demo's own check failed: {UNANSWERED!r} is said to be among the photos.")
        return 1
    if {"cat.png", "edited/a copy of cat.png"} not in copies:
        out.print("The demo's own check failed: the copy of the cat is not found.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
