from __future__ import annotations

import doctest
import json
import subprocess
import sys

import pytest

import annotate
import preprocess
import search
from preprocess import PHOTO_SUFFIXES, RAW_SUFFIXES, choose, formats, is_photo
from preprocess.formats import DECODERS, is_raw


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", False),
        (".jpg", False),
        ("jpg", False),
        ("photo", False),
        ("photo.txt", False),
        ("photo.jpg.xmp", False),
        ("photo.psd", False),
        ("photo.svg", False),
        ("photo.JPG", True),
        ("a.b.jpeg", True),
        ("été/фото.HeIc", True),
        ("IMG 1.avif", True),
        ("scan.TIFF", True),
        ("x.jp2", True),
        ("x.pgm", True),
        ("DSC_0001.NEF", True),
        ("_MG.cr3", True),
    ],
)
def test_is_photo(name: str, expected: bool) -> None:
    assert is_photo(name) is expected


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PHOTO_SUFFIXES)
    assert RAW_SUFFIXES < PHOTO_SUFFIXES


def test_no_decoder_that_runs_programs_or_reads_other_files() -> None:
    assert not {"EPS", "WMF", "ICNS", "PSD", "PDF", "MIC", "FPX", "GBR"} & set(DECODERS)


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "x.nef", False),
        (b"II*\0" + b"\0" * 20, "x.tif", False),
        (b"II*\0" + b"\0" * 20, "x.NEF", True),
        (b"MM\0*" + b"\0" * 20, "x.dng", True),
        (b"II*\0\x10\0\0\0CR\2\0", "x.jpg", True),
        (b"FUJIFILMCCD-RAW 0201", "x.jpg", True),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "x", True),
        (b"\xff\xd8\xff\xe0", "x.dng", False),
    ],
)
def test_is_raw(data: bytes, name: str, expected: bool) -> None:
    assert is_raw(data, name) is expected


def test_every_public_name_is_there() -> None:
    lazy = [name for names in preprocess._HOMES.values() for name in names]
    assert len(lazy) == len(set(lazy))
    assert set(lazy) < set(preprocess.__all__)
    for name in preprocess.__all__:
        assert getattr(preprocess, name) is not None
    assert set(dir(preprocess)) == set(preprocess.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = preprocess.nonsense


def test_no_module_hides_a_lazy_name() -> None:
    for package in (preprocess, search, annotate):
        assert not {name for names in package._HOMES.values() for name in names} & set(package._HOMES), package.__name__


def test_errors_and_choose_load_nothing_heavy() -> None:
    code = "import sys, json, preprocess; preprocess.PellucidError; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=preprocess.__path__[0] + "/..")
    assert not {"PIL", "numpy", "cv2", "pillow_heif", "rawpy"} & set(json.loads(done.stdout))


def test_choose() -> None:
    assert choose({"a": 1}, "a", "encoder") == 1
    with pytest.raises(preprocess.UnknownName, match="Did you mean 'builtin'"):
        choose({"builtin": 1}, "builtn", "encoder")


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(formats).failed == 0
