"""`pellucid export` and `pellucid import coco` on a small library: two roots, copies, masks that are smaller than their photos, photos without regions."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotate import Annotation, Region, decode_mask, encode_mask, resize_mask
from api.library_photos import root_labels
from search import Library, Recipe, Store, image_row, normalize

SIZE = (48, 32)
SMALL = (16, 24)  # height and width of the masks that the segmenter has made


def ring() -> Any:
    ys, xs = np.mgrid[: SMALL[0], : SMALL[1]]
    return (abs(xs - 8) < 6) & (abs(ys - 7) < 6) & ~((abs(xs - 8) < 3) & (abs(ys - 7) < 3))


def two_parts() -> Any:
    ys, xs = np.mgrid[: SMALL[0], : SMALL[1]]
    return ((xs < 4) & (ys < 4)) | ((xs > 18) & (ys > 9))


def enlarged(mask: Any) -> Any:
    return np.kron(mask, np.ones((2, 2), bool))


def machine(*regions: Region) -> Annotation:
    return Annotation(SIZE, regions, "tiny-1")


@dataclass
class Place:
    """A library of photos in two roots: `one` has a.png, b.png and été/плаж 1.png, `two` has another a.png and a copy of b.png."""

    folder: Path
    pellucid: Callable[..., Any]

    @property
    def library(self) -> Path:
        return self.folder / "library"

    @property
    def store(self) -> Store:
        return Store(Library(self.library))

    def digest(self, name: str) -> str:
        rows = self.store.images(["root", "path", "digest"]).to_pylist()
        return next(row["digest"] for row in rows if f"{Path(row['root']).name}/{row['path']}" == name)

    def put(self, **_: Annotation) -> None:
        library = Library(self.library)
        with library.locked("test"):
            Store(library).regions.put({self.digest(name): annotation for name, annotation in _.items()})

    def regions(self, name: str) -> tuple[Region, ...]:
        return self.store.regions.regions().get(self.digest(name), ())

    def maker(self, name: str) -> str:
        return self.store.regions.annotations()[self.digest(name)].maker

    def run(self, *arguments: object) -> Any:
        return self.pellucid(*arguments, "--library", self.library)

    def export(self, *arguments: object, name: str = "coco", out: str = "out.json") -> Any:
        ran = self.run("export", name, self.folder / out, "--json", *arguments)
        assert ran.code == 0, ran.err
        return ran.json

    def coco(self, *arguments: object, out: str = "out.json") -> Any:
        self.export("--force", *arguments, out=out)
        return json.loads((self.folder / out).read_bytes())

    def bring(self, document: Any, *arguments: object) -> Any:
        (self.folder / "edited.json").write_text(json.dumps(document), encoding="utf-8")
        return self.run("import", "coco", self.folder / "edited.json", "--json", *arguments)


@pytest.fixture
def place(tmp_path: Path, paint: Any, pellucid: Callable[..., Any]) -> Place:
    for at, name in enumerate(("one/a.png", "one/b.png", "one/été/плаж 1.png", "two/a.png")):
        paint(tmp_path / name, seed=at, size=SIZE)
    shutil.copyfile(tmp_path / "one/b.png", tmp_path / "two/copy.png")
    files = sorted(tmp_path.glob("*/**/*.png"))
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    made = Place(tmp_path, pellucid)
    library = Library(made.library, create=True)
    with library.locked("test"):
        store, recipe = Store(library), Recipe("rows", "0" * 64, "fp32", "none", 4)
        library.write(replace(library.file, roots=(str(tmp_path / "one"), str(tmp_path / "two"))))
        store.add_vectors(recipe, sorted(set(digests)), normalize(np.eye(4, dtype=np.float32)))
        rows = zip(files, digests, strict=True)
        store.put_images([_row(tmp_path / file.relative_to(tmp_path).parts[0], file, digest) for file, digest in rows])
        store.use(recipe)
    sky = Region((4, 2, 28, 26), "sky", 0.75, encode_mask(ring()), area=0.3, colour=(1, 2, 3), haze_depth=0.5)
    made.put(
        **{
            "one/a.png": machine(sky, Region((0, 0, 48, 32), "dog, black", 0.5, encode_mask(two_parts()), area=0.2)),
            "one/b.png": machine(Region((2.5, 3, 10, 12.25), "sky", 0.25)),
            "two/a.png": machine(),
        }
    )
    return made


def _row(root: Path, file: Path, digest: str) -> dict[str, Any]:
    path = file.relative_to(root).as_posix()
    return image_row(root=str(root), path=path, digest=digest, width=SIZE[0], height=SIZE[1], taken_at="2024-05-01T12:00:00", haze=0.25)


class TestExport:
    def test_what_is_exported_is_said(self, place: Place) -> None:
        told = place.export()
        assert {key: told[key] for key in ("photos", "regions", "without_regions", "not_looked_at", "labels", "renamed")} == {
            "photos": 4, "regions": 4, "without_regions": 1, "not_looked_at": 1, "labels": ["dog, black", "sky"], "renamed": {},
        }  # fmt: skip
        document = json.loads((place.folder / "out.json").read_bytes())
        names = ["one/a.png", "one/b.png", "two/a.png", "two/copy.png"]  # neither root's a.png is lost
        assert [image["file_name"] for image in document["images"]] == names
        assert [image["digest"] for image in document["images"]] == [place.digest(name) for name in names]
        counts = [sum(row["image_id"] == image["id"] for row in document["annotations"]) for image in document["images"]]
        assert counts == [2, 1, 0, 1]

    def test_masks_and_boxes_are_of_the_full_size(self, place: Place) -> None:
        rows = place.coco(out="rle.json")["annotations"]
        place.export(name="coco-rle")
        read = {row["id"]: row for row in json.loads((place.folder / "out.json").read_bytes())["annotations"]}
        for row, mask in zip(rows[:2], (ring(), two_parts()), strict=True):
            full = enlarged(mask)
            segmentation = read[row["id"]]["segmentation"]
            assert segmentation == {"size": [32, 48], "counts": encode_mask(full).counts.decode()}
            assert row["segmentation"] == segmentation  # a hole, or two parts: no polygon
            ys, xs = np.nonzero(full)
            assert row["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            assert row["area"] == full.sum()

    def test_all_photos(self, place: Place) -> None:
        told = place.export("--all-photos", name="csv", out="out.csv")
        assert (told["photos"], told["without_regions"], told["not_looked_at"]) == (5, 2, 1)
        with (place.folder / "out.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        by_name = {row["path"]: row for row in rows}
        assert by_name["one/été/плаж 1.png"]["maker"] == by_name["one/été/плаж 1.png"]["label"] == ""
        assert (by_name["two/a.png"]["maker"], by_name["two/a.png"]["label"]) == ("tiny-1", "")
        first = rows[0]
        assert (first["root"], first["digest"]) == (str(place.folder / "one"), place.digest("one/a.png"))
        assert (first["label"], first["area"], first["colour"], first["haze_depth"]) == ("sky", "0.3", "#010203", "0.5")
        assert (first["haze"], first["taken_at"]) == ("0.25", "2024-05-01T12:00:00")
        assert int(first["pixels"]) == enlarged(ring()).sum()

    def test_where(self, place: Place) -> None:
        told = place.export("--where", "path = 'a.png' and root like '%two'")
        assert (told["photos"], told["regions"]) == (1, 0)
        names = [image["file_name"] for image in place.coco("--where", "path like '%b.png' or path like '%1.png'")["images"]]
        assert names == ["one/b.png"]  # its copy does not meet the condition, and the other was never looked at
        assert place.coco("--where", "path = 'b.png'")["categories"] == place.coco()["categories"]  # so that parts fit together
        for where, said in (("path = 'nothing'", "No photo meets"), ("nothing = 1", "no such column|no column|nothing")):
            ran = place.run("export", "coco", place.folder / "other.json", "--where", where)
            assert ran.code == 2
            assert any(word in ran.err for word in said.split("|"))
        assert not (place.folder / "other.json").exists()

    def test_where_on_regions(self, place: Place) -> None:
        names = [image["file_name"] for image in place.coco("--where", "region.label = 'dog, black'")["images"]]
        assert names == ["one/a.png"]

    def test_one_root_needs_no_name(self, place: Place) -> None:
        place.run("forget", place.folder / "two")
        assert [image["file_name"] for image in place.coco()["images"]] == ["a.png", "b.png"]

    def test_nothing_was_looked_at(self, place: Place) -> None:
        ran = place.run("export", "coco", place.folder / "out.json", "--where", "path like 'été/%'")
        assert (ran.code, "--all-photos" in ran.err, "--regions builtin" in ran.err) == (2, True, True)
        library = Library(place.library)
        with library.locked("test"):
            library.write(replace(library.file, regions="tiny"))  # what finds its regions, which another would replace
        assert "--regions tiny;" in place.run("export", "coco", place.folder / "out.json", "--where", "path like 'été/%'").err
        assert "pellucid index --regions tiny\n" in place.run("export", "coco", place.folder / "out.json").out

    @pytest.mark.parametrize("name", ["yolo", "voc", "fiftyone"])
    def test_photos_are_copied_or_linked(self, place: Place, name: str) -> None:
        folder = {"yolo": "images", "voc": "JPEGImages", "fiftyone": "data"}[name]
        place.export("--copy-photos", name=name, out="copies")
        place.export("--link-photos", name=name, out="links")
        for photo in ("one/a.png", "two/a.png", "two/copy.png"):
            truth = (place.folder / photo).read_bytes()
            assert (place.folder / "copies" / folder / photo).read_bytes() == truth
            assert (place.folder / "links" / folder / photo).resolve() == (place.folder / photo).resolve()
        (place.folder / "two/a.png").unlink()
        ran = place.run("export", name, place.folder / "missing", "--copy-photos")
        assert (ran.code, "There is no photo" in ran.err) == (2, True)
        assert not (place.folder / "missing").exists()

    def test_label_studio_is_told_what_to_serve(self, place: Place) -> None:
        assert place.export(name="label-studio", out="tasks")["served"] == str(place.folder)
        tasks = json.loads((place.folder / "tasks/tasks.json").read_bytes())
        assert [task["data"]["image"] for task in tasks][::2] == ["/data/local-files/?d=one/a.png", "/data/local-files/?d=two/a.png"]

    def test_what_is_there_is_kept(self, place: Place) -> None:
        (place.folder / "out.json").write_text("mine")
        ran = place.run("export", "coco", place.folder / "out.json")
        assert (ran.code, "--force" in ran.err, (place.folder / "out.json").read_text()) == (2, True, "mine")
        place.export("--force")
        assert json.loads((place.folder / "out.json").read_bytes())["images"]

    @pytest.mark.parametrize(("name", "out"), [("coco", "full/out.json"), ("coco", "full"), ("voc", "full"), ("voc", "full/out.json")])
    def test_what_is_there_is_refused_before_the_library_is_read(
        self, place: Place, name: str, out: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (place.folder / "full").mkdir()
        (place.folder / "full/out.json").write_text("mine")

        def read(_self: Store, *_: Any) -> Any:
            raise AssertionError

        monkeypatch.setattr(Store, "images", read)
        ran = place.run("export", name, place.folder / out)
        assert (ran.code, "exists already" in ran.err or "is a f" in ran.err) == (2, True), ran.err

    @pytest.mark.parametrize(
        ("name", "out", "said"),
        [
            ("coco", "one/a.png", "name of a photo"),
            ("csv", "library/library.json", "in the library"),
            ("yolo", "one", "lies in the folder of photos"),
            ("yolo", "one/labels", "lies in the folder of photos"),
            ("voc", ".", "holds the folder of photos"),
        ],
    )
    def test_photos_and_the_library_are_never_written_over(self, place: Place, name: str, out: str, said: str) -> None:
        before = {file: file.read_bytes() for file in place.folder.rglob("*") if file.is_file()}
        ran = place.run("export", name, place.folder / out, "--force", "--copy-photos")
        assert (ran.code, said in ran.err) == (2, True), ran.err
        assert {file: file.read_bytes() for file in place.folder.rglob("*") if file.is_file()} == before

    def test_words_that_are_wrong(self, place: Place) -> None:
        ran = place.run("export", "cocoo", place.folder / "out.json")
        assert ran.code == 2
        assert "Did you mean 'coco'" in ran.err
        assert "label-studio" in ran.err
        assert place.run("export", "coco", place.folder / "x", "--copy-photos", "--link-photos").code == 2
        ran = place.run("export", "coco", place.folder / "x", "--labels", "sky")
        assert (ran.code, "'dog, black' is not among" in ran.err) == (2, True)
        assert not (place.folder / "x").exists()

    def test_a_list_of_formats(self, pellucid: Callable[..., Any]) -> None:
        from annotate import EXPORTERS

        ran = pellucid("export", "--list")
        assert [line.split()[0] for line in ran.out.splitlines()] == list(EXPORTERS)
        assert all(len(line) > 30 for line in ran.out.splitlines())

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
    def test_nothing_half_written(self, place: Place, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
        from annotate import export_check

        def fail(*_: Any, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(export_check, "mask_box", fail)  # in the midst of the first photo
        before = sorted(place.folder.rglob("*"))
        for name in ("coco", "voc"):
            ran = place.run("export", name, place.folder / "out")
            assert ran.code == (130 if isinstance(error, KeyboardInterrupt) else 7)
        assert sorted(place.folder.rglob("*")) == before

    def test_people_read_what_was_done(self, place: Place) -> None:
        ran = place.run("export", "yolo", place.folder / "out")
        assert "Wrote 4 photos with 4 regions of 2 labels" in ran.out
        assert "1 photo of them has no regions" in ran.out
        assert "1 photo was never looked at" in ran.out
        assert "two/copy" not in ran.out
        assert "same name but for its ending" not in ran.out

    def test_names_that_differ_in_their_ending_are_told_apart(self, place: Place, paint: Any) -> None:
        file, library = paint(place.folder / "one/a.jpg", seed=9, size=SIZE), Library(place.library)
        with library.locked("test"):
            Store(library).put_images([_row(place.folder / "one", file, hashlib.sha256(file.read_bytes()).hexdigest())])
        ran = place.run("export", "yolo", place.folder / "out", "--all-photos")
        assert "Another photo has the same name but for its ending: 1 photo, such as one/a.png, whose files are one/a.png.*" in ran.out
        assert (place.folder / "out/labels/one/a.png.txt").exists()

    @pytest.mark.parametrize("name", ["voc", "cvat"])
    def test_one_odd_name_does_not_stop_the_rest(self, place: Place, paint: Any, name: str) -> None:
        file, library = paint(place.folder / "one/bell\x07.png", seed=9, size=SIZE), Library(place.library)
        with library.locked("test"):
            Store(library).put_images([_row(place.folder / "one", file, hashlib.sha256(file.read_bytes()).hexdigest())])
        told = place.export("--all-photos", name=name, out="out")
        assert (told["photos"], told["regions"], told["without_regions"]) == (5, 4, 2)
        assert list(told["photos_left_out"]) == ["one/bell\x07.png"]
        assert "which XML cannot hold" in told["photos_left_out"]["one/bell\x07.png"]
        ran = place.run("export", name, place.folder / "other", "--all-photos")
        assert (ran.code, "\x07" in ran.out) == (0, False)
        assert "Left out: 1 photo whose name the format cannot hold:\n  The path 'one/bell\\x07.png' has the character" in ran.out
        ran = place.run("export", name, place.folder / "none", "--all-photos", "--where", "path like 'bell%'")
        assert (ran.code, "nothing was written" in ran.err, (place.folder / "none").exists()) == (2, True, False)

    def test_labels_that_voc_cannot_hold_are_told(self, place: Place) -> None:
        place.put(**{"two/a.png": machine(Region((0, 0, 4, 4), "car: red"))})
        assert place.export(name="voc", out="out")["relabelled"] == {"car: red": "car_ red"}
        ran = place.run("export", "voc", place.folder / "other")
        assert "Labels that the format writes in another way: 1, such as 'car: red' as 'car_ red'." in ran.out


class TestImport:
    def test_an_edit_comes_back(self, place: Place) -> None:
        """A box moved, a label changed, a region added, all of another photo deleted; nothing else changes."""
        document = place.coco()
        sky, dog, small, copied = document["annotations"]
        sky["category_id"] = 3
        document["categories"].append({"id": 3, "name": "haze"})
        for row in (small, copied):
            row["bbox"] = [1, 2, 3.5, 4]
        document["annotations"].append(
            {"id": 99, "image_id": 3, "category_id": 2, "bbox": [4, 4, 2, 2], "segmentation": [[4, 4, 6, 4, 6, 6, 4, 6]], "area": 4}
        )
        before = place.regions("one/a.png")
        ran = place.bring(document)
        assert ran.code == 0, ran.err
        assert {key: ran.json[key] for key in ("photos", "regions", "emptied", "unchanged", "unmatched")} == {
            "photos": 3, "regions": 4, "emptied": 0, "unchanged": 0, "unmatched": [],
        }  # fmt: skip
        after = {region.label: region for region in place.regions("one/a.png")}
        assert {region.source for region in after.values()} == {"human"}
        assert place.store.regions.annotations()[place.digest("one/a.png")].human
        assert after["dog, black"].mask == before[1].mask  # untouched: the mask is as small as it was
        assert np.array_equal(decode_mask(after["haze"].mask), enlarged(ring()))  # type: ignore[arg-type]
        again = place.coco()
        labels = {row["id"]: row["name"] for row in again["categories"]}
        told = sorted(
            (row["image_id"], labels[row["category_id"]], row["bbox"], row["area"], row["source"]) for row in again["annotations"]
        )
        assert told == [
            (1, "dog, black", dog["bbox"], dog["area"], "human"),
            (1, "haze", sky["bbox"], sky["area"], "human"),
            (2, "sky", [1, 2, 3.5, 4], 14, "human"),
            (3, "sky", [4, 4, 2, 2], 4, "human"),
            (4, "sky", [1, 2, 3.5, 4], 14, "human"),
        ]

    def test_a_second_import_replaces_the_first(self, place: Place) -> None:
        document = place.coco()
        makers = []
        for box in ([1, 1, 5, 5], [2, 2, 6, 6], [2, 2, 6, 6]):
            document["annotations"][0] |= {"bbox": box, "segmentation": []}
            ran = place.bring(document)
            makers.append(place.maker("one/a.png"))
        assert ran.json["photos"] == 0  # the same again changes nothing
        assert len(set(makers)) == 2
        assert sorted(region.box_xyxy for region in place.regions("one/a.png"))[-1] == (2, 2, 8, 8)
        assert len(place.regions("one/a.png")) == 2

    def test_what_nobody_changed_stays_a_machines(self, place: Place) -> None:
        document = place.coco("--all-photos")
        ran = place.bring(document)
        assert (ran.json["photos"], ran.json["unchanged"]) == (0, 4)
        assert place.maker("one/a.png") == "tiny-1"
        assert place.digest("one/été/плаж 1.png") not in place.store.regions.annotations()
        ran = place.bring(document, "--unchanged")
        assert (ran.json["photos"], ran.json["regions"], ran.json["emptied"]) == (4, 3, 2)
        assert place.maker("one/a.png").startswith("human-")
        assert [region.colour for region in place.regions("one/a.png")] == [(1, 2, 3), None]

    def test_all_regions_deleted(self, place: Place) -> None:
        document = place.coco()
        document["annotations"] = [row for row in document["annotations"] if row["image_id"] != 1]
        assert place.bring(document).json["emptied"] == 1
        assert place.regions("one/a.png") == ()
        assert place.store.regions.annotations()[place.digest("one/a.png")].human

    def test_photos_that_are_not_in_the_file_are_not_touched(self, place: Place) -> None:
        document = place.coco("--where", "path = 'b.png'")
        document["annotations"] = []
        place.bring(document)
        assert place.regions("one/b.png") == ()
        assert (len(place.regions("one/a.png")), place.maker("two/a.png")) == (2, "tiny-1")

    def test_copies_that_differ(self, place: Place) -> None:
        """Of two copies, the one that was changed counts; two changes are refused, and nothing is written."""
        document = place.coco()
        copied = document["annotations"][-1]
        copied["bbox"] = [0, 0, 2, 2]
        assert place.bring(document, "--dry-run").json["photos"] == 1
        document["annotations"][2]["bbox"] = [0, 0, 3, 3]
        ran = place.bring(document)
        assert (ran.code, "one/b.png, two/copy.png are copies" in ran.err) == (2, True)
        assert place.maker("one/b.png") == "tiny-1"
        document["annotations"][2]["bbox"] = [2.5, 3, 7.5, 9.25]
        assert place.bring(document).code == 0
        assert [region.box_xyxy for region in place.regions("one/b.png")] == [(0, 0, 2, 2)]

    def test_files_of_other_tools(self, place: Place) -> None:
        """As CVAT and Label Studio write them: no digest, other folders before the names, categories and images numbered otherwise."""
        images = [
            {"id": 0, "file_name": "/data/local-files/?d=one/a.png", "width": 48, "height": 32},
            {"id": 5, "file_name": "images/two/copy.png", "width": 48, "height": 32, "license": 0, "flickr_url": ""},
            {"id": 6, "file_name": "never opened/плаж 1.png", "width": None, "height": None},
            {"id": 7, "file_name": "elsewhere.png", "width": 9, "height": 9},
        ]
        annotations = [
            {"id": 0, "image_id": 0, "category_id": 0, "bbox": [1, 1, 3, 3], "segmentation": [], "ignore": 0, "iscrowd": 0, "area": 9},
            {"id": 1, "image_id": 5, "category_id": 4, "iscrowd": 1, "area": 96, "bbox": [2, 0, 3, 32],
             "segmentation": {"size": [32, 48], "counts": [64, 96, 1376]}, "attributes": {"occluded": False}},
        ]  # fmt: skip
        ran = place.bring(
            {"images": images, "annotations": annotations, "categories": [{"id": 0, "name": "cat"}, {"id": 4, "name": "crowd"}]}
        )
        assert ran.code == 0, ran.err
        assert (ran.json["unmatched"], ran.json["unopened"]) == (["elsewhere.png"], ["never opened/плаж 1.png"])
        assert [region.box_xyxy for region in place.regions("one/a.png")] == [(1, 1, 4, 4)]
        (crowd,) = place.regions("one/b.png")
        assert (crowd.label, crowd.box_xyxy, crowd.area) == ("crowd", (2, 0, 5, 32), 96 / 1536)

    def test_ambiguous_names_are_listed(self, place: Place) -> None:
        document = place.coco()
        for image in document["images"]:
            del image["digest"]
        document["images"][0]["file_name"] = "a.png"
        ran = place.bring(document)
        assert (ran.code, "a.png could be one/a.png, two/a.png" in ran.err) == (2, True)
        assert place.maker("one/a.png") == "tiny-1"
        document["images"] = document["images"][:1]
        document["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}]
        ran = place.bring(document, "--root", place.folder / "two")
        assert ran.code == 0, ran.err
        assert (len(place.regions("two/a.png")), place.maker("one/a.png")) == (1, "tiny-1")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"width": 32, "height": 48}, "32×48, but one/a.png is 48×32"),
            ({"file_name": 3}, "text as file_name"),
        ],
    )
    def test_a_wrong_document_changes_nothing(self, place: Place, change: dict[str, Any], said: str) -> None:
        document = place.coco()
        document["images"][0] |= change
        document["annotations"] = []
        ran = place.bring(document)
        assert (ran.code, said in ran.err) == (2, True), ran.err
        assert place.maker("one/b.png") == "tiny-1"

    def test_a_region_outside_changes_nothing(self, place: Place) -> None:
        document = place.coco()
        document["annotations"][0]["bbox"] = [40, 0, 20, 5]
        ran = place.bring(document)
        assert (ran.code, "outside of the photo" in ran.err) == (2, True)
        assert place.maker("one/a.png") == "tiny-1"

    def test_none_of_the_photos_is_known(self, place: Place) -> None:
        images = [{"id": 1, "file_name": "other.png", "width": 1, "height": 1}]
        ran = place.bring({"images": images, "annotations": [], "categories": []})
        assert (ran.code, "other.png" in ran.err) == (2, True)
        ran = place.bring({"images": images, "annotations": [], "categories": []}, "--root", place.folder / "home")
        assert (ran.code, "no photos in" in ran.err) == (2, True)

    def test_dry_run_writes_nothing_and_people_read_what_would_be_done(self, place: Place) -> None:
        document = place.coco()
        document["annotations"][0]["bbox"] = [0, 0, 5, 5]
        assert place.bring(document, "--dry-run").json["photos"] == 1
        assert place.maker("one/a.png") == "tiny-1"
        said = place.run("import", "coco", place.folder / "edited.json", "--dry-run").out
        assert said.startswith("Would do: 1 photo with 2 regions")
        assert "pellucid index" not in said
        said = place.run("import", "coco", place.folder / "edited.json").out
        assert f"pellucid index --library {place.library}" in said
        assert "Unchanged: 2 photos." in said

    def test_the_library_is_held_meanwhile(self, place: Place) -> None:
        document = place.coco()
        with Library(place.library).locked("test"):
            assert place.bring(document).code == 5
            assert place.bring(document, "--dry-run").code == 0

    def test_large_photos_come_back_exactly(self, place: Place) -> None:
        """Masks at a third of the size, not a whole part of it: what is not changed is known again."""
        random = np.random.default_rng(4)
        odd = [Region((0, 0, 48, 32), f"part {at}", 0.5, encode_mask(random.random((11, 17)) < 0.3)) for at in range(4)]
        place.put(**{"one/a.png": machine(*odd)})
        for name in ("coco", "coco-rle"):
            place.export("--force", name=name)
            document = json.loads((place.folder / "out.json").read_bytes())
            assert place.bring(document).json["photos"] == 0
            boxes = {tuple(row["bbox"]) for row in document["annotations"] if row["image_id"] == 1}
            full = [decode_mask(resize_mask(region.mask, (32, 48))) for region in odd]  # type: ignore[arg-type]
            corners = [(xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1) for ys, xs in map(np.nonzero, full)]
            assert boxes == set(corners)


def test_names_of_roots() -> None:
    roots = ["/home/x/photos", "/media/disk/Photos", "/", "/media/photos-2", "/media/photos"]
    assert list(root_labels(roots).values()) == ["photos", "Photos-2", "root", "photos-2-2", "photos-3"]
