"""Texts made ready for a tokenizer, as open_clip cleans them."""

from __future__ import annotations

import html
import re
import string
from typing import Literal, TypeAlias

Clean: TypeAlias = Literal["none", "whitespace", "lower", "canonicalize"]

# Nothing in these needs repair, nor is there a character reference: ftfy (80 ms to import, and 0.1 ms a text) gives them back as they are.
_PLAIN = re.compile(r"[ -%'-~]*")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def clean_text(text: str, how: Clean) -> str:
    r"""`text` as open_clip's tokenizers see it.

    "none" is the text itself. "whitespace" repairs broken encodings (ftfy), resolves character references twice and makes every run of
    white space one space; "lower" makes that small letters; "canonicalize" instead takes out ASCII punctuation (an underscore becomes
    a space), as SigLIP's training did. All but "none" leave no lone surrogates.

    >>> clean_text(" A photo\tof Tom &amp;amp; Jerry ", "lower")
    'a photo of tom & jerry'
    >>> clean_text("Tom's big_dog!", "canonicalize")
    'toms big dog'
    """
    if how == "none":
        return text
    text = _repaired(text)
    if how == "canonicalize":
        text = text.replace("_", " ").translate(_NO_PUNCTUATION).lower()
    text = " ".join(text.split())
    return text.lower() if how == "lower" else text


def _repaired(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text)))
