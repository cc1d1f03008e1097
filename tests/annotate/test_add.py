from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotate import (
    AddSegmenterOptions,
    SegmenterFacts,
    SegmenterOptions,
    add_segmenter,
    find_segmenter_faults,
    load_segmenter,
    read_labels,
)
from annotate.label_sets import LABEL_SETS, SAME, data_labels
from annotate.segment import GRAPH
from preprocess import InputError, UnknownName, WeightsError

Write = Callable[..., Path]


def names(models: Path) -> list[str]:
    return sorted(entry.name for entry in models.iterdir()) if models.exists() else []


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


# A segmenter's folder of Pellucid


def test_a_folder_of_ours_is_copied_and_checked(write_segmenter: Write, tmp_path: Path, models: Path) -> None:
    folder = write_segmenter(tmp_path / "colours")
    steps: list[str] = []
    added = add_segmenter(str(folder), models, on_progress=lambda step, _share: steps.append(step))
    assert added == SegmenterFacts.read(models / "colours")
    assert steps == ["copy segment.onnx", "check"]
    assert len(added.measured["probe"]) == 256
    assert find_segmenter_faults(models / "colours") == []
    ours, theirs = (load_segmenter("colours", SegmenterOptions(models=place, threads=1)) for place in (models, tmp_path))
    assert ours.id == theirs.id
    assert names(models) == ["colours"]


def test_what_is_said_of_a_copy_replaces_what_it_says(write_segmenter: Write, tmp_path: Path, models: Path) -> None:
    folder = write_segmenter(tmp_path / "colours")
    added = add_segmenter(f"path:{folder}", models, AddSegmenterOptions(name="small", short=32, licence="MIT"))
    assert (added.name, added.frame.short, added.licence) == ("small", 32, "MIT")
    assert find_segmenter_faults(models / "small") == []


def test_a_name_is_taken_once_and_replaced_when_asked(write_segmenter: Write, tmp_path: Path, models: Path) -> None:
    first, second = write_segmenter(tmp_path / "a"), write_segmenter(tmp_path / "b", gain=2.0)
    add_segmenter(str(first), models, AddSegmenterOptions(name="m"))
    with pytest.raises(InputError, match="--force"):
        add_segmenter(str(second), models, AddSegmenterOptions(name="m"))
    add_segmenter(str(second), models, AddSegmenterOptions(name="m", force=True))
    assert SegmenterFacts.read(models / "m").files == SegmenterFacts.read(second).files
    (second / GRAPH).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="Copy the folder again"):
        add_segmenter(str(second), models, AddSegmenterOptions(name="m", force=True))
    assert find_segmenter_faults(models / "m") == []
    assert names(models) == ["m"]


def test_an_encoder_is_never_replaced(write_segmenter: Write, tmp_path: Path, models: Path) -> None:
    (models / "m").mkdir(parents=True)
    (models / "m" / "weights.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(InputError, match=r"is of the kind .encoder., not .segmenter.\."):
        add_segmenter(str(write_segmenter(tmp_path / "m")), models, AddSegmenterOptions(force=True))
    assert (models / "m" / "weights.json").read_text(encoding="utf-8") == '{"format": 2}'


def test_one_that_does_not_run_is_not_added(write_segmenter: Write, tmp_path: Path, models: Path) -> None:
    folder = write_segmenter(tmp_path / "odd", labels=("a", "b", "c", "d"))  # its graph tells three
    with pytest.raises(WeightsError, match=r"was not added.*instead of"):
        add_segmenter(str(folder), models)
    assert names(models) == []


def test_a_source_that_is_damaged_or_another_kind_says_so(write_segmenter: Write, tmp_path: Path, models: Path) -> None:
    file = write_segmenter(tmp_path / "m") / "weights.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    for change, said in (({"labels": []}, "is damaged .* Copy the folder again"), ({"kind": "encoder"}, "of the kind 'encoder'"), ({"format": 9}, "Upgrade Pellucid"),
                         ({"files": facts["files"] | {"../x": "0"}}, "x is missing")):  # fmt: skip
        file.write_text(json.dumps(facts | change), encoding="utf-8")
        with pytest.raises(WeightsError, match=said):
            add_segmenter(str(tmp_path / "m"), models)
    assert names(models) == []


def test_other_classes_than_on_the_day_it_was_added_are_a_fault(write_segmenter: Write, tmp_path: Path, models: Path) -> None:
    add_segmenter(str(write_segmenter(tmp_path / "colours")), models)
    file = models / "colours" / "weights.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    facts["measured"]["probe"] = [(number + 1) % 3 for number in facts["measured"]["probe"]]
    file.write_text(json.dumps(facts), encoding="utf-8")
    (fault,) = find_segmenter_faults(models / "colours")
    assert "100% of an example photo" in str(fault)
    assert "pellucid segmenters add SOURCE --name colours --force" in fault.remedy
    (models / "colours" / GRAPH).unlink()
    assert [fault.what for fault in find_segmenter_faults(models / "colours")] == ["is missing"]
    file.write_text("{", encoding="utf-8")
    assert [fault.file for fault in find_segmenter_faults(models / "colours")] == [file]


# What is refused before anything is read


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("nothing", {}, "no file or folder"),
        ("empty", {}, "neither weights.json"),
        ("notes.txt", {}, "no checkpoint by its name"),
        ("ours", {"arch": "pspnet"}, "Leave out --arch"),
        ("ours", {"labels": "voc"}, "Leave out --labels"),
        ("smp", {"encoder": "resnet18"}, "Leave out --encoder"),
        ("ours", {"name": "builtin"}, "without any segmenter"),
        ("ours", {"name": "Proposals"}, "without any segmenter"),
        ("ours", {"name": "a+b"}, "cannot name a model"),
        ("模型.pt", {}, "--name"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(
    write_segmenter: Write, tmp_path: Path, models: Path, source: str, options: dict[str, Any], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "smp").mkdir()
    (tmp_path / "smp" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "模型.pt").write_bytes(b"x")
    write_segmenter(tmp_path / "ours")
    with pytest.raises(InputError, match=said):
        add_segmenter(str(tmp_path / source), models, AddSegmenterOptions(**options))
    assert names(models) == []


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InputError, match="--short is -1"):
        AddSegmenterOptions(short=-1)


# Labels


def test_label_sets_know_other_words_and_what_their_labels_are_kinds_of() -> None:
    for name in LABEL_SETS:
        labels = read_labels(name).labels
        assert len(labels) == {"voc": 21, "camvid": 11, "cityscapes": 19}[name]
    camvid = read_labels("camvid")
    assert camvid.ignored == {11, 255}
    assert camvid.labels.named("person").id == 9
    assert camvid.labels.named("traffic sign").name == "sign"
    assert data_labels(["Traffic_Sign", "car"]).labels.category("sign") == "object"
    assert {camvid.labels.category(name) for name in ("pedestrian", "bicyclist")} == {"human"}
    assert len({word for group in SAME for word in group}) == sum(map(len, SAME))  # a word means one thing


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("labels.txt", "road\n\n  dog \r\nVoid\n", {"road": 0, "dog": 1}),
        ("labels.txt", "\ufeffpedestrian\nperson\n", {"pedestrian": 0, "person": 1}),  # neither stands for "people"
        ("labels.json", '{"labels": [{"id": 3, "name": "pet"}, {"id": 1, "name": "dog", "aliases": ["hound"]}]}', {"dog": 1, "pet": 3}),
    ],
)
def test_labels_are_read_from_a_file(tmp_path: Path, name: str, text: str, found: dict[str, int]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    labels = read_labels(str(tmp_path / name)).labels
    assert {label.name: label.id for label in labels} == found
    assert labels.find("people") is None


@pytest.mark.parametrize(
    ("given", "text", "said"),
    [
        ("camvit", None, "Did you mean 'camvid'"),
        ("nothing.txt", None, "no file"),
        ("twice.txt", "a\nb\na\n", "twice: 'a'"),
        ("same.txt", "traffic light\ntraffic-light\n", "stands for both"),
        ("many.txt", "\n".join(map(str, range(256))), "256 labels"),
        ("bad.json", "{", "not JSON"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, text: str | None, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(given).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_labels(given)


# Models of torch

ENCODER = "mobilenet_v2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of five classes, and a folder of one class, both of PSPNet with random weights."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("made")
    model = smp.PSPNet(ENCODER, encoder_weights=None, classes=5)
    torch.save({"state_dict": {f"model.{name}": value for name, value in model.state_dict().items()}}, folder / "five.pt")
    smp.PSPNet(ENCODER, encoder_weights=None, classes=1).save_pretrained(str(folder / "one"))
    (folder / "labels.txt").write_text("sky\nroad\ntree\ncar\nvoid\n", encoding="utf-8")
    (folder / "four.txt").write_text("sky\nroad\ntree\ncar\n", encoding="utf-8")
    (folder / "person.txt").write_text("person\n", encoding="utf-8")
    return folder


def test_a_checkpoint_is_made_a_segmenter(made: Path, models: Path) -> None:
    options = AddSegmenterOptions(arch="pspnet", encoder=ENCODER, labels=str(made / "labels.txt"), licence="MIT")
    steps: list[str] = []
    added = add_segmenter(str(made / "five.pt"), models, options, lambda step, _share: steps.append(step))
    assert steps == ["load", "network to ONNX", "comparison with torch", "check"]
    assert (added.arch, added.labels, added.licence) == (f"PSPNet/{ENCODER}", ("sky", "road", "tree", "car", "void"), "MIT")
    assert (added.frame.short, added.source) == (512, f"path:{made / 'five.pt'}")
    assert added.measured["agreement"] >= 0.999
    classes = load_segmenter("five", SegmenterOptions(models=models, threads=1)).segment(np.zeros((40, 60, 3), np.uint8)).classes
    assert classes.shape == (40, 60)


def test_a_folder_of_one_class_tells_it_from_all_else(made: Path, models: Path) -> None:
    added = add_segmenter(str(made / "one"), models, AddSegmenterOptions(labels=str(made / "person.txt"), short=0))
    assert (added.name, added.labels, added.frame.short, added.licence) == ("one", ("background", "person"), 0, "not stated")


@pytest.mark.parametrize(
    ("source", "options", "error", "said"),
    [
        ("five.pt", {}, InputError, "Which architecture and encoder"),
        ("five.pt", {"arch": "pspnet"}, InputError, "Which architecture and encoder"),
        ("five.pt", {"arch": "pspnot", "encoder": ENCODER, "labels": "labels.txt"}, UnknownName, "Did you mean 'pspnet'"),
        ("five.pt", {"arch": "pspnet", "encoder": ENCODER}, InputError, "--labels FILE"),
        ("five.pt", {"arch": "pspnet", "encoder": ENCODER, "labels": "four.txt"}, InputError, "tells 5 classes, and 4 labels"),
        ("five.pt", {"arch": "fpn", "encoder": ENCODER, "labels": "labels.txt"}, WeightsError, "does not fit FPN.*missing"),
        ("one", {}, InputError, "--labels FILE"),
        ("one", {"labels": "labels.txt"}, InputError, "tells 2 classes, and 5 labels"),
    ],
)
def test_models_that_are_not_as_said_are_refused(
    made: Path, models: Path, monkeypatch: pytest.MonkeyPatch, source: str, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    monkeypatch.chdir(made)
    with pytest.raises(error, match=f"(?s){said}"):
        add_segmenter(source, models, AddSegmenterOptions(**options))
    assert names(models) == []


def test_torchvisions_model_says_itself_what_it_is(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    known = pytest.importorskip("torchvision.models.segmentation", reason="torchvision is not installed")
    pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    from annotate import _segmenter_export

    with torch.device("meta"):
        shapes = known.deeplabv3_resnet50(weights=None, weights_backbone=None).state_dict()
    torch.save({name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}, tmp_path / "tv.pth")
    told: list[Any] = []

    def stop(loaded: Any, _folder: Path, name: str, labels: Any, **_more: Any) -> Any:
        told.extend([loaded.arch, loaded.frame.short, name, labels])
        raise WeightsError("far enough")  # the export of this network is tested elsewhere, and takes ten seconds

    monkeypatch.setattr(_segmenter_export, "export_segmenter", stop)
    with pytest.raises(WeightsError, match="far enough"):
        add_segmenter(str(tmp_path / "tv.pth"), models)
    assert told == ["DeepLabV3/resnet50", 520, "tv", LABEL_SETS["voc"]]
    with pytest.raises(InputError, match="Leave out --arch"):
        add_segmenter(str(tmp_path / "tv.pth"), models, AddSegmenterOptions(arch="pspnet", encoder="resnet50"))
    assert names(models) == []
