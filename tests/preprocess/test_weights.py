from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from preprocess import (
    InputError,
    WeightsError,
    check_file,
    check_name,
    digest_of,
    file_faults,
    first_line,
    folders_of,
    kind_of,
    normalised_planes,
    safe_name,
    staged,
    write_weights_facts,
    wrong_files,
)


def made(folder: Path, facts: object = None, *files: str) -> Path:
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_bytes(name.encode())
    if facts is not None:
        (folder / "weights.json").write_text(facts if isinstance(facts, str) else json.dumps(facts), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("facts", "files", "kind"),
    [
        ({"format": 2}, (), "encoder"),  # as all were before there were others
        ({"kind": "segmenter"}, (), "segmenter"),
        ({"kind": "segmenter"}, ("image.onnx",), "segmenter"),
        ("{", ("segment.onnx",), "segmenter"),
        ("[1]", ("segment.onnx",), "segmenter"),
        ("{", ("image.onnx",), "encoder"),
        ("{", (), "encoder"),
        (None, ("segment.onnx",), "segmenter"),
    ],
)
def test_the_kind_of_a_model_is_known_of_damaged_ones_too(tmp_path: Path, facts: object, files: tuple[str, ...], kind: str) -> None:
    assert kind_of(made(tmp_path / "m", facts, *files)) == kind


def test_folders_are_listed_by_kind(tmp_path: Path) -> None:
    for name, kind in (("b", "encoder"), ("a", "encoder"), ("c", "segmenter"), (".new", "encoder")):
        made(tmp_path / name, {"kind": kind})
    made(tmp_path / "other", None, "notes.txt")
    assert [folder.name for folder in folders_of(tmp_path, "encoder")] == ["a", "b"]
    assert [folder.name for folder in folders_of(tmp_path, "segmenter")] == ["c"]
    assert folders_of(tmp_path / "nowhere", "encoder") == folders_of(None, "encoder") == []


def test_facts_are_written_in_one_step(tmp_path: Path) -> None:
    write_weights_facts(tmp_path, {"name": "Straße"})
    write_weights_facts(tmp_path, {"name": "b"})
    assert json.loads((tmp_path / "weights.json").read_text(encoding="utf-8")) == {"name": "b"}
    assert [file.name for file in tmp_path.iterdir()] == ["weights.json"]


def test_files_are_compared_with_their_sha256(tmp_path: Path) -> None:
    made(tmp_path / "m", None, "a", "b")
    files = {name: hashlib.sha256(text).hexdigest() for name, text in (("a", b"a"), ("b", b"other"), ("c", b"c"))}
    assert digest_of(tmp_path / "m" / "a") == files["a"]
    assert wrong_files(tmp_path / "m", files) == ["b", "c"]
    assert [str(fault) for fault in file_faults(tmp_path / "m", files, "Mend it.")] == [
        f"{tmp_path / 'm' / 'b'}: has another sha256 than weights.json says. Mend it.",
        f"{tmp_path / 'm' / 'c'}: is missing. Mend it.",
    ]
    assert check_file(tmp_path / "m" / "a", files["a"], "Mend it.") == tmp_path / "m" / "a"
    for name, said in (("b", "b is damaged: .* Mend it"), ("c", "c is missing or cannot be read .* Mend it")):
        with pytest.raises(WeightsError, match=said):
            check_file(tmp_path / "m" / name, files[name], "Mend it.")


@pytest.mark.parametrize(
    ("given", "name"), [("ViT B/32", "ViT-B-32"), ("Straße..", "Strae"), ("模型", ""), ("-a_", "a"), ("x" * 200, "x" * 100)]
)
def test_names_are_made_safe(given: str, name: str) -> None:
    assert safe_name(given) == name


@pytest.mark.parametrize("name", ["", "../m", "a b", ".m", "m.", "a+b", "模型", "Builtin", "x" * 101])
def test_names_that_are_not_safe_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name, ("builtin",), "taken")
    assert check_name("ViT-B.32_x", ("builtin",), "taken") == "ViT-B.32_x"


def test_a_model_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    made(tmp_path / "m", {"kind": "segmenter"})
    with pytest.raises(InputError, match="of the kind 'segmenter', not 'encoder'"), staged(tmp_path, "m", replace=True):
        pytest.fail("it was begun")
    with staged(tmp_path, "m", replace=True, kind="segmenter") as fresh:
        write_weights_facts(fresh, {"kind": "segmenter", "name": "new"})
    assert json.loads((tmp_path / "m" / "weights.json").read_text(encoding="utf-8"))["name"] == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]


def test_what_a_library_says_fits_into_a_message() -> None:
    assert first_line(ValueError("one.\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 500))) == 200


def test_planes_are_normalised_colour_by_colour() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    found = normalised_planes(pixels, mean, std)
    assert (found.shape, found.dtype) == ((2, 3, 5, 7), np.float32)
    np.testing.assert_allclose(found, ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2), atol=1e-6)
    np.testing.assert_array_equal(normalised_planes(pixels[0], mean, std), found[0])
