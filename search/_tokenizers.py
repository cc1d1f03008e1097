"""Makes the `tokenizer.json` of a model folder from what open_clip's tokenizers are made of; neither torch nor open_clip is imported."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from preprocess import MissingExtra, WeightsError

from .clean import Clean
from .model import TextInput

_MERGES = 49152 - 256 - 2  # the file holds more, which CLIP does not use
_START, _END = "<start_of_text>", "<end_of_text>"

# open_clip's pattern, which ignores case. Texts come in small letters, so that only the long s is another case of a letter in it: spelt out, because
# the tokenizers library would also take the ligature "ﬆ" for "st". U+0345 has a letter for its other case, which keeps it out of the last group.
_PATTERN = r"<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+"


def write_clip_tokenizer(file: Path, length: int) -> TextInput:
    """Write CLIP's byte-pair tokenizer, with ids equal to open_clip's `SimpleTokenizer(context_length=length)`.

    Raises:
        MissingExtra: open_clip, whose vocabulary it is, is not installed.
    """
    merges = _clip_merges()
    symbols = _byte_symbols()
    vocabulary = {symbol: at for at, symbol in enumerate([*symbols, *(f"{s}</w>" for s in symbols), *map("".join, merges)])}
    start, end = len(vocabulary), len(vocabulary) + 1
    # These two written out in a text are one word by the pattern, and one id in open_clip. An added token would also be found inside
    # a word ("!<start_of_text>"), so they are merged like any word, last of all; no other word has "<" and a letter in it.
    for word, number, inner in ((_START, start, "start"), (_END, end, "end")):
        pieces = ["<", inner, "_", "of", "_", "text", "></w>"]
        for at in range(1, len(pieces)):
            merges.append(("".join(pieces[:at]), pieces[at]))
            vocabulary["".join(pieces[: at + 1])] = len(vocabulary) + 2
        vocabulary[f"{word}</w>"] = number
    words = {"type": "Split", "pattern": {"Regex": _PATTERN}, "behavior": "Removed", "invert": True}
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    facts: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [words, to_bytes]},
        "post_processor": _between(start, end),
        "decoder": None,
        "model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": vocabulary, "merges": _as_strings(merges)},
    }
    file.write_text(json.dumps(facts, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    return TextInput(length=length, pad=0, padded=True, clean="lower")


def write_hf_tokenizer(source: Path, file: Path, length: int, clean: Clean, *, strip_sep: bool = False) -> TextInput:
    """Write the tokenizer of a Hugging Face folder, with ids equal to open_clip's `HFTokenizer(source, length, clean, strip_sep)`.

    `source` holds `tokenizer.json` and `tokenizer_config.json` as `HFTokenizer.save_pretrained` writes them. `strip_sep` makes the
    separator's id 0, as the CLIPA models have it (two names for one id then: "[PAD]" written out in a text is taken as words).

    Raises:
        WeightsError: a file is missing or damaged, or the tokenizer has no padding token or (where asked for) no separator.
    """
    try:
        facts = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
        config = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
        pad = _id_of(facts, config, "pad_token")
        if strip_sep:
            facts = _with_id(facts, _content(config, "sep_token"), 0)
        facts |= _sides(config, length, pad)
        if "merges" in facts["model"]:
            facts["model"]["merges"] = _as_strings(facts["model"]["merges"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"The tokenizer in {source} is missing or damaged ({error!r}). Fetch the model again.") from error
    file.write_text(json.dumps(facts, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    return TextInput(length=length, pad=pad, padded=True, clean=clean)


def _sides(config: dict[str, Any], length: int, pad: int) -> dict[str, Any]:
    """Where rows are padded and cut: on the right, unless the configuration says left."""
    padding = {
        "strategy": {"Fixed": length},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": pad,
        "pad_type_id": 0,
        "pad_token": "",
    }
    cut = {"direction": "Left", "max_length": length, "strategy": "LongestFirst", "stride": 0}
    return {
        "padding": padding if config.get("padding_side") == "left" else None,
        "truncation": cut if config.get("truncation_side") == "left" else None,
    }


def _as_strings(merges: list[Any]) -> list[Any]:
    """Merges in the older spelling, which loads sooner: CLIP's in 50 ms of processor time, not 65; 435,600 in 0.30 s, not 0.52."""
    if any(isinstance(merge, str) or " " in merge[0] + merge[1] or merge[0].startswith("#version") for merge in merges):
        return merges
    return [f"{first} {second}" for first, second in merges]


def _clip_merges() -> list[tuple[str, str]]:
    found = find_spec("open_clip")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("CLIP's vocabulary comes with open_clip. To add this model, run: pip install 'pellucid[torch]'")
    with gzip.open(Path(found.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as lines:
        next(lines)  # its version
        pairs = (line.split() for line, _ in zip(lines, range(_MERGES), strict=False))
        return [(first, second) for first, second in pairs]


def _byte_symbols() -> list[str]:
    """A printable character for each byte, in the order of CLIP's ids: printable Latin-1 is itself, and comes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + at) for at in range(256 - len(printable))]


def _between(start: int, end: int) -> dict[str, Any]:
    tokens = {_START: start, _END: end}
    single = [
        {"SpecialToken": {"id": _START, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": _END, "type_id": 0}},
    ]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    special = {token: {"id": token, "ids": [number], "tokens": [token]} for token, number in tokens.items()}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def _content(config: dict[str, Any], name: str) -> str:
    token = config[name]
    content: str = token["content"] if isinstance(token, dict) else token
    return content


def _id_of(facts: dict[str, Any], config: dict[str, Any], name: str) -> int:
    content = _content(config, name)
    for token in facts["added_tokens"]:
        if token["content"] == content:
            return int(token["id"])
    vocabulary = facts["model"]["vocab"]
    return int(vocabulary[content]) if isinstance(vocabulary, dict) else [piece for piece, _ in vocabulary].index(content)


def _with_id(facts: dict[str, Any], content: str, number: int) -> dict[str, Any]:
    """The tokenizer with another id for one special token; its vocabulary must be a mapping, as WordPiece and byte-pair ones are."""
    facts["model"]["vocab"][content] = number
    for token in facts["added_tokens"]:
        if token["content"] == content:
            token["id"] = number
    processor = facts["post_processor"]
    if processor["type"] == "TemplateProcessing":
        processor["special_tokens"][content]["ids"] = [number]
    else:  # BertProcessing and RobertaProcessing
        processor["sep"] = [content, number]
    return facts
