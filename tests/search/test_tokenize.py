"""Texts to ids. `python tests/search/test_tokenize.py` writes tokenize_golden.json anew, with open_clip (the extra `torch`)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocess import MissingExtra, WeightsError
from search import TextInput
from search._tokenizers import write_clip_tokenizer, write_hf_tokenizer
from search.tokenize import Words

GOLDEN = Path(__file__).with_name("tokenize_golden.json")
LENGTHS = (77, 76, 32)  # CLIP; CoCa, which appends a token of its own; PE-Core
START, END = 49406, 49407

PIECES = [
    "dog", "Photo", "running", "it's", "we'll", "I'VE", "'D", "don't", "rock'n'roll", "l'été", "Ünïcöde", "e\u0301", "naïve", "İ", "ß", "ſ", "'ſ", "ﬆ", "ǆ",
    "2024", "3.14", "½", "²", "Ⅷ", "١٢٣", "१२", "犬", "浜辺", "ひらがな", "カタカナ", "한국어", "كلب", "مرحبا", "بِسْمِ", "कुत्ता", "नमस्ते", "สวัสดี", "собака", "σκύλος", "שלום",
    "🐕", "👩‍👩‍👧", "👍🏽", "🇫🇷", "❤️", "☺", "\u200d", "\u200b", "\ufe0f", "\u0345", "\u00ad", "\u202e", "\ufeff", "\x00", "\x07", "\x1b[31m", "\x7f", "\x85",
    "&amp;", "&lt;b&gt;", "&amp;eacute;", "&#128021;", "&nbsp;", "â€™", "Ã©", "...", "!?", "--", "<", ">", "_", "#tag", "@me", "http://a.b/c?d=e", "a_b", "$5", "\\", '"', "“x”",
    "<start_of_text>", "<end_of_text>", "<START_OF_TEXT>", "<ſtart_of_text>", "<|endoftext|>", "<start", "of_text>", "antidisestablishmentarianism", "zzzzqqqq", "\U0001f9ff", "\ud800",
]  # fmt: skip
SPACES = ["", "", " ", " ", " ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "  "]
EDGES = [
    "",
    " ",
    "\n\t",
    "dog",
    "word " * 300,
    "x" * 5000,
    "犬" * 400,
    "👩‍👩‍👧" * 60,
    "1" * 100,
    "a b " * 37,
    "a b " * 37 + "c",
    "a b " * 38,
    "!<start_of_text>",
    "<start_of_text>" * 3,
]


def mixed(count: int, seed: int) -> list[str]:
    """Texts of all pieces in any order."""
    chance = random.Random(seed)
    return ["".join(chance.choice(PIECES) + chance.choice(SPACES) for _ in range(chance.randint(1, 14))) for _ in range(count)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Words]:
    """CLIP's tokenizer at a length."""
    if find_spec("open_clip") is None:
        pytest.skip("the extra torch is not installed, with which CLIP's vocabulary comes")
    folder = tmp_path_factory.mktemp("clip")
    made = {length: Words(folder / f"{length}.json", write_clip_tokenizer(folder / f"{length}.json", length)) for length in LENGTHS}
    return made.__getitem__


@pytest.fixture(scope="module")
def original() -> Callable[[list[str], int], Any]:
    """What open_clip's own tokenizer makes of texts at a length."""
    tokenizer = pytest.importorskip("open_clip.tokenizer", reason="the extra torch is not installed").SimpleTokenizer()
    return lambda texts, length: tokenizer(texts, context_length=length).numpy()


def same(ids: Any, expected: Any, texts: list[str]) -> None:
    assert ids.shape == expected.shape
    wrong = [ascii(text) for text, row, other in zip(texts, ids, expected, strict=True) if (row != other).any()]
    assert not wrong, wrong[:5]


# CLIP's byte pairs


@pytest.mark.parametrize("row", json.loads(GOLDEN.read_text()), ids=lambda row: ascii(row["text"])[:24])
def test_ids_are_those_that_open_clip_gave(clip: Any, row: dict[str, Any]) -> None:
    ids = clip(77)([row["text"]])
    assert ids.shape == (1, 77)
    assert ids.dtype == np.int64
    assert ids[0, : len(row["ids"])].tolist() == row["ids"]
    assert not ids[0, len(row["ids"]) :].any()


def test_a_long_text_ends_with_the_end(clip: Any) -> None:
    for length in LENGTHS:
        row = clip(length)(["word " * 300])[0].tolist()
        assert row == [START, *[row[1]] * (length - 2), END]


@pytest.mark.parametrize("length", LENGTHS)
def test_ids_are_those_of_the_installed_open_clip(clip: Any, original: Any, length: int) -> None:
    texts = EDGES + mixed(1500, length)
    same(clip(length)(texts), original(texts, length), texts)


def test_ids_of_captions_are_those_of_the_installed_open_clip(clip: Any, original: Any, shared: Callable[[str], Path]) -> None:
    texts = (shared("text") / "flickr-captions.txt").read_text(encoding="utf-8").splitlines()[::10]
    assert len(texts) > 3000
    same(clip(77)(texts), original(texts, 77), texts)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES + SPACES) | st.text(st.characters(exclude_categories=["Cn"]), max_size=6), max_size=20).map("".join))
def test_ids_of_any_text_are_those_of_the_installed_open_clip(clip: Any, original: Any, text: str) -> None:
    same(clip(77)([text]), original([text], 77), [text])


def test_clip_without_its_vocabulary_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search._tokenizers.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[torch\]'"):
        write_clip_tokenizer(tmp_path / "tokenizer.json", 77)


# Tokenizers of the Hugging Face hub

SENTENCES = [
    f"{colour} {what} {where}"
    for colour in ("red", "small", "furry")
    for what in ("dog", "cat's toy", "boat, old")
    for where in ("on a beach", "in 2024!")
]


def unigram() -> Any:
    """As SigLIP's: the end of the sentence is what pads, too."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    special = ["<unk>", "</s>", "<pad>"]
    tokenizer.train_from_iterator(
        SENTENCES, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer, {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}


def byte_fallback() -> Any:
    """As Gemma's in SigLIP 2: pairs, with bytes for what is not known, and spaces that are letters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.decoder = normalizers.Replace(" ", "▁"), decoders.ByteFallback()
    special = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return tokenizer, {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}


def word_pieces() -> Any:
    """As BERT's, which the CLIPA models use."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer, {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}


def saved(folder: Path, make: Callable[[], Any], **options: Any) -> Path:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tokenizer, special = make()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special, **options).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("make", "length", "clean", "options"),
    [
        (unigram, 64, "canonicalize", {}),  # SigLIP
        (unigram, 16, "canonicalize", {}),
        (byte_fallback, 64, "canonicalize", {"padding_side": "right"}),  # SigLIP 2
        (byte_fallback, 20, "whitespace", {"padding_side": "left", "truncation_side": "left"}),
        (word_pieces, 32, "whitespace", {}),  # CLIPA, whose separator becomes 0
        (word_pieces, 77, "lower", {}),
    ],
)
def test_ids_are_those_of_open_clip_for_hub_tokenizers(make: Any, length: int, clean: Any, options: Any, tmp_path: Path) -> None:
    original = pytest.importorskip("open_clip.tokenizer", reason="the extra torch is not installed").HFTokenizer
    strip = make is word_pieces and length == 32
    folder = saved(tmp_path / "source", make, **options)
    tokenizer = original(str(folder), context_length=length, clean=clean, strip_sep_token=strip)
    tokenizer.save_pretrained(tmp_path / "again")
    texts = SENTENCES + EDGES + mixed(300, length) + ["</s>x", "<eos> [SEP] a", "[CLS]"]
    for source in (folder, tmp_path / "again"):  # as it lies on the hub; as open_clip saves it after use
        text = write_hf_tokenizer(source, tmp_path / "tokenizer.json", length, clean, strip_sep=strip)
        assert text == TextInput(length=length, pad=tokenizer.tokenizer.pad_token_id, padded=True, clean=clean)
        same(Words(tmp_path / "tokenizer.json", text)(texts), tokenizer(texts).numpy(), texts)


def test_siglip_rows_are_padded_to_their_length(tmp_path: Path) -> None:
    text = write_hf_tokenizer(saved(tmp_path, unigram), tmp_path / "made.json", 64, "canonicalize")
    ids = Words(tmp_path / "made.json", text)(["A small-dog!", "a smalldog", ""])
    assert ids.shape == (3, 64)
    assert ids[0].tolist() == ids[1].tolist()
    assert ids[0, -50:].tolist() == [1] * 50
    assert ids[2].tolist() == [1] * 64


@pytest.mark.parametrize("damage", ["missing", "broken", "no padding", "no separator"])
def test_a_damaged_hub_tokenizer_is_named(tmp_path: Path, damage: str) -> None:
    folder = saved(tmp_path / "source", unigram)
    config = folder / "tokenizer_config.json"
    if damage == "missing":
        (folder / "tokenizer.json").unlink()
    elif damage == "broken":
        config.write_text("{")
    elif damage == "no padding":
        config.write_text(json.dumps({"eos_token": "</s>"}))
    with pytest.raises(WeightsError, match=r"The tokenizer in .*source is missing or damaged"):
        write_hf_tokenizer(folder, tmp_path / "tokenizer.json", 64, "whitespace", strip_sep=damage == "no separator")


# What a tower is told


def words(tmp_path: Path, **facts: Any) -> Words:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"?": 0, "a": 1, "dog": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return Words(tmp_path / "tokenizer.json", TextInput(**facts))


def test_rows_are_as_long_as_the_tower_wants(tmp_path: Path) -> None:
    texts = ["a dog", "dog", "", "a a a a a a a"]
    assert words(tmp_path, length=4, pad=9)(texts).tolist() == [[1, 2, 9, 9], [2, 9, 9, 9], [9, 9, 9, 9], [1, 1, 1, 1]]
    assert words(tmp_path, length=4, pad=9, padded=False)(texts[:3]).tolist() == [[1, 2], [2, 9], [9, 9]]
    assert words(tmp_path, length=4, pad=9, padded=False)([""]).tolist() == [[9]]
    assert words(tmp_path, length=4)([]).shape == (0, 1)


def test_ids_have_the_type_that_the_tower_wants(tmp_path: Path) -> None:
    assert words(tmp_path, length=4, dtype="int32")(["a"]).dtype == np.int32
    assert words(tmp_path, length=4)(["a"]).dtype == np.int64


def test_lone_surrogates_do_no_harm(tmp_path: Path) -> None:
    for clean in ("none", "whitespace", "lower", "canonicalize"):
        assert words(tmp_path, length=3, padded=False, clean=clean)(["a \ud800 dog"]).tolist() == [[1, 0, 2]]


def test_texts_are_cleaned_first(tmp_path: Path) -> None:
    assert words(tmp_path, length=3, padded=False, clean="canonicalize")(["A, Dog!"]).tolist() == [[1, 2]]
    assert words(tmp_path, length=3, padded=False, clean="none")(["A, Dog!"]).tolist() == [[0, 0]]


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match=r"tokenizer\.json does not load"):
        Words(tmp_path / "tokenizer.json", TextInput())


def main() -> None:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(context_length=77)
    rows = []
    for text in [*EDGES, "a photo of a dog on the beach.", "Tom &amp; Jerry's cafÃ©", *mixed(24, 0)]:
        ids = tokenizer([text])[0].tolist()
        rows.append({"text": text, "ids": ids[: ids.index(END) + 1] if ids.count(END) == 1 else np.trim_zeros(ids, "b")})
    GOLDEN.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
