"""The recommended models: every figure has a source, and open_clip knows every name."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from preprocess import UnknownName
from search.catalogue import CATALOGUE, Recommended, catalogue_markdown, recommended
from search.sources import parse_source

needs_open_clip = pytest.mark.skipif(importlib.util.find_spec("open_clip") is None, reason="open_clip is not installed")
rows = pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.source)


@rows
def test_a_row_is_whole(row: Recommended) -> None:
    source = parse_source(row.source)
    assert (source.kind, source.place, source.tag) == ("open_clip", row.arch, row.tag)
    for figure, where in ((row.imagenet, row.imagenet_source), (row.coco, row.coco_source)):
        assert (figure is None) == (where == "")
        assert figure is None or (20 < figure < 95 and where.startswith("https://"))
    assert row.licence_source.startswith("https://")
    assert row.licence
    assert row.languages
    assert row.for_whom
    assert row.research_only == (row.licence == "apple-amlr")
    assert not row.ready or (parse_source(row.ready).kind == "hub" and recommended(row.ready) == row)


def test_the_first_is_free_to_use_and_no_source_is_there_twice() -> None:
    assert CATALOGUE[0].source == "open_clip:ViT-B-32-256/datacomp_s34b_b86k"
    assert not CATALOGUE[0].research_only
    assert len({row.source for row in CATALOGUE}) == len(CATALOGUE)


def test_the_table_has_each_row_with_its_sources() -> None:
    table = catalogue_markdown()
    for row in CATALOGUE:
        (line,) = [line for line in table.splitlines() if line.startswith(f"| `{row.source}`")]
        assert row.licence_source in line
        assert row.imagenet_source in line
        assert ("research only" in line) == row.research_only
        assert ("not found" in line) == (row.coco is None or row.imagenet is None)


def test_a_figure_that_was_not_found_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(CATALOGUE[0], coco=None, coco_source="")
    monkeypatch.setattr("search.catalogue.CATALOGUE", (row,))
    assert "| not found |" in catalogue_markdown()


@needs_open_clip
@rows
def test_open_clip_has_the_weights_with_the_size_that_we_say(row: Recommended) -> None:
    from search.pretrained import architecture, find_pretrained

    found = find_pretrained(row.arch, row.tag)
    assert found.arch == row.arch  # so it has the activation that the weights were trained with
    config = architecture(row.arch)
    assert (config["embed_dim"], config["vision_cfg"]["image_size"]) == (row.dim, row.side)


@needs_open_clip
def test_what_we_read_without_torch_is_open_clips_own_list() -> None:
    import open_clip

    from search.pretrained import _table, architecture, known_architecture

    listed = set(open_clip.list_pretrained())
    assert {(arch, tag) for arch, tags in _table().items() for tag in tags} == listed
    assert {(row.arch, row.tag) for row in CATALOGUE} <= listed
    own = {file.stem for file in (Path(open_clip.__file__).parent / "model_configs").glob("*.json")}
    assert len(own) > 50
    for arch in own & set(open_clip.list_models()):  # other tests add small ones
        assert known_architecture(arch) == arch
        assert architecture(arch) == open_clip.get_model_config(arch)


@needs_open_clip
def test_weights_trained_with_quickgelu_get_the_architecture_that_has_it() -> None:
    from search.pretrained import find_pretrained

    assert find_pretrained("ViT-L-14", "openai").arch == "ViT-L-14-quickgelu"
    assert find_pretrained("ViT-L-14", "laion2b_s32b_b82k").arch == "ViT-L-14"
    assert find_pretrained("ViT-B-32-SigLIP2-256", "webli").others == ("timm/ViT-B-32-SigLIP2-256",)


@needs_open_clip
def test_an_unknown_name_is_met_with_a_near_one_and_torch_is_not_imported() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom search.pretrained import find_pretrained\nfrom preprocess import UnknownName\n"
        "try:\n    find_pretrained('ViT-B-23-256', 'x')\nexcept UnknownName as error:\n    print(error)\n"
        "print([name for name in ('torch', 'open_clip') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Did you mean 'ViT-B-32-256'" in said
    assert said.rstrip().endswith("[]")
    from search.pretrained import find_pretrained

    with pytest.raises(UnknownName, match="Did you mean 'datacomp_s34b_b86k'"):
        find_pretrained("ViT-B-32-256", "datacomp_s34b_b68k")
