from __future__ import annotations

import html
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.clean import Clean, clean_text

# Text as people type and paste it: references, doubly encoded letters, ligatures, curly quotes, terminal codes, odd spaces, lone surrogates.
PIECES = [
    "&",
    "&amp;",
    "&amp;amp;",
    "&#39;",
    "&nbsp;",
    "<",
    ">",
    "â€™",
    "Ã©",
    "ﬁ",
    "’",
    "\x1b[31m",
    "\u00a0",
    "\u3000",
    "_",
    "'s",
    "A",
    "É",
    " ",
    "\t",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8) | st.text(st.characters(codec="ascii"), max_size=8)).map("".join)
GOLDEN = [
    # text, whitespace, lower, canonicalize: as open_clip 3.3 cleans them
    ("A photo\tof  a Dog. ", "A photo of a Dog.", "a photo of a dog.", "a photo of a dog"),
    ("Tom &amp;amp; Jerry", "Tom & Jerry", "tom & jerry", "tom jerry"),
    ("AT&T's big_dog!", "AT&T's big_dog!", "at&t's big_dog!", "atts big dog"),
    ("schÃ¶n â€“ cafÃ©", "schön – café", "schön – café", "schön – café"),
    ("the ﬁrst “quoted” ﬀ", 'the first "quoted" ff', 'the first "quoted" ff', "the first quoted ff"),
    ("ＦＵＬＬ　width", "FULL width", "full width", "full width"),
    ("e\u0301te\u0301", "été", "été", "été"),
    ("İstanbul \x1b[31mred\x1b[0m \x07bell", "İstanbul red bell", "i̇stanbul red bell", "i̇stanbul red bell"),
    ("a\u2028b\r\nc\x1cd", "a b cd", "a b cd", "a b cd"),
    ("犬が、浜辺にいる。", "犬が、浜辺にいる。", "犬が、浜辺にいる。", "犬が、浜辺にいる。"),
    ("👨‍👩‍👧 \ud800", "👨‍👩‍👧 �", "👨‍👩‍👧 �", "👨‍👩‍👧 �"),
    ("...", "...", "...", ""),
    ("", "", "", ""),
]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: ascii(row[0])[:20])
def test_texts_are_cleaned_as_open_clip_did(row: tuple[str, str, str, str]) -> None:
    text, *expected = row
    assert [clean_text(text, how) for how in ("whitespace", "lower", "canonicalize")] == expected
    assert clean_text(text, "none") == text


@settings(max_examples=500, deadline=None)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="&")))
def test_plain_text_needs_no_repair(text: str) -> None:
    import ftfy

    assert ftfy.fix_text(text) == text
    assert html.unescape(text) == text


def test_no_character_that_is_let_through_needs_repair() -> None:
    import ftfy

    for first in map(chr, range(0x20, 0x7F)):
        for second in map(chr, range(0x20, 0x7F)):
            if "&" not in (first, second):
                assert ftfy.fix_text(first + second + first) == first + second + first


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from([how for how in get_args(Clean) if how != "none"]))
def test_cleaning_is_that_of_the_installed_open_clip(text: str, how: Clean) -> None:
    tokenizer = pytest.importorskip("open_clip.tokenizer", reason="the extra torch is not installed")
    assert clean_text(text, how) == tokenizer.get_clean_fn(how)(text)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from(["whitespace", "lower", "canonicalize"]))
def test_what_is_clean_has_no_odd_space(text: str, how: Clean) -> None:
    cleaned = clean_text(text, how)
    assert cleaned == " ".join(cleaned.split())
    assert not any("\ud800" <= char <= "\udfff" for char in cleaned)
