"""What `pellucid models add` may be given, and what a model is then called."""

from __future__ import annotations

from pathlib import Path

import pytest

from preprocess import InputError, UnknownName
from search.sources import NOT_STATED, Source, checked_name, parse_source, terms_of


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("open_clip:ViT-B-32-256/datacomp_s34b_b86k", Source("open_clip", "ViT-B-32-256", "datacomp_s34b_b86k")),
        ("hub:immich-app/ViT-B-32__openai", Source("hub", "immich-app/ViT-B-32__openai")),
        ("path:weights.safetensors", Source("path", "weights.safetensors")),
        ("path:/a folder/模型", Source("path", "/a folder/模型")),
        (r"path:C:\models\clip.pt", Source("path", r"C:\models\clip.pt")),
        ("  hub:a/b  ", Source("hub", "a/b")),
        ("ViT-B-32-256", Source("open_clip", "ViT-B-32-256", "datacomp_s34b_b86k")),
        ("ViT-L-14-quickgelu/dfn2b", Source("open_clip", "ViT-L-14-quickgelu", "dfn2b")),
    ],
)
def test_a_source_is_understood_and_written_back(text: str, source: Source) -> None:
    assert parse_source(text) == source
    assert parse_source(str(source)) == source


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "s3:bucket/model", "open_clip:ViT-B-32", "open_clip:/openai", "open_clip:ViT-B-32/", "open_clip:a/b/c", "hub:name", "hub:a/b/c",
        "hub:../../etc", "hub:a/..", "hub:a--b/c", "hub:", "path:", "https://huggingface.co/a/b", "C:\\models\\clip.pt",
    ],
)  # fmt: skip
def test_what_is_no_source_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"open_clip:|hub:|path:|Known:"):
        parse_source(text)


def test_a_nearly_right_name_is_met_with_the_right_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'ViT-B-32-SigLIP2-256'"):
        parse_source("ViT-B-32-SigLIP-256")


def test_a_file_without_its_scheme_is_told_how_to_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"write path:weights\.pt"):
        parse_source("weights.pt")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("open_clip:ViT-B-32-256/datacomp_s34b_b86k", "ViT-B-32-256--datacomp_s34b_b86k"),
        ("hub:immich-app/ViT-B-32__openai", "ViT-B-32__openai"),
        ("path:/models/my clip (2).safetensors", "my-clip-2"),
        ("path:/models/Größe.pt", "Groe"),
        ("path:/models/.hidden.pt", "hidden"),
        ("path:/models/" + "x" * 300 + ".pt", "x" * 100),
    ],
)
def test_the_name_is_made_from_the_source(text: str, name: str) -> None:
    source = parse_source(text)
    assert source.default_name == name
    assert checked_name(source.default_name, source) == source.default_name


@pytest.mark.parametrize("name", ["", "builtin", "Builtin", ".hidden", "a/b", "a\\b", "..", "-x", "a b", "名", "x" * 101, "a.", "a\n"])
def test_a_name_that_is_no_folders_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        checked_name(name, parse_source("path:/模型.pt"))


@pytest.mark.parametrize(
    ("source", "stated", "licence", "research_only"),
    [
        ("open_clip:ViT-B-32-256/datacomp_s34b_b86k", "", "MIT", False),
        ("open_clip:ViT-B-32-256/datacomp_s34b_b86k", "cc-by-nc-4.0", "MIT", False),  # ours was looked up
        ("open_clip:MobileCLIP2-S0/dfndr2b", "", "apple-amlr", True),
        ("hub:immich-app/ViT-B-16-SigLIP2__webli", "", "Apache-2.0", False),  # the same weights as the catalogue's
        ("hub:immich-app/ViT-L-14-quickgelu__dfn2b", "", "apple-amlr", True),
        ("hub:somebody/something", "", NOT_STATED, False),
        ("hub:somebody/something", "mit", "mit", False),
        ("hub:somebody/something", "apple-amlr", "apple-amlr", True),
        ("hub:somebody/something", "cc-by-nc-4.0", "cc-by-nc-4.0", True),
        ("hub:somebody/something", "cc-by-4.0", "cc-by-4.0", False),
        ("path:/a.pt", "Some Research License", "Some Research License", True),
    ],
)
def test_the_licence_is_the_catalogues_then_the_stated_one(source: str, stated: str, licence: str, research_only: bool) -> None:
    terms = terms_of(parse_source(source), stated)
    assert (terms.licence, terms.research_only) == (licence, research_only)
    assert licence in str(terms)
    assert ("research only" in str(terms)) == research_only
