"""Which tags of a vocabulary a text names: how captions and class names become labels that tags are measured with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from .phrases import plural
from .vocabulary import Tag, Vocabulary, tag_key

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")

UNSAID = frozenset({
    "setting", "number of people", "shot size", "camera angle", "colour", "main colours", "technique", "composition", "genre", "medium", "image quality",
    "mood", "light", "time of day", "seasons", "materials and textures", "faces and bodies",
})  # fmt: skip
"""Groups of the vocabularies that ship about which a caption is silent more often than not, or whose words mean something else there ("a red bus" is no red
photo): a caption says neither that such a tag is right nor that it is wrong."""


class NamedTags:
    """Finds a vocabulary's tags in texts: names and synonyms, one or many, the longest first ("hot dog" is no dog), and what these are a kind of."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @cached_property
    def _by_words(self) -> dict[tuple[str, ...], Tag]:
        found: dict[tuple[str, ...], Tag] = {}
        for tag in self.vocabulary:
            for word in tag.words:
                found[_words(word)] = tag
        for tag in self.vocabulary:  # behind them, since a plural must not stand for another tag's own name
            for word in tag.words:
                found.setdefault(_words(plural(word)), tag)
        found.pop((), None)
        return found

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._by_words), default=0)

    def named(self, text: str) -> frozenset[str]:
        """Tags that the text names, without what they are a kind of.

        >>> from .vocabulary_file import load_vocabulary
        >>> sorted(NamedTags(load_vocabulary("photo")).named("Two dogs eat hot dogs on a sandy beach"))
        ['dog', 'hot dog', 'sandy beach']
        """
        words = _words(text)
        found = set()
        at = 0
        while at < len(words):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                tag = self._by_words.get(words[at : at + length])
                if tag is not None:
                    found.add(tag.name)
                    at += length
                    break
            else:
                at += 1
        return frozenset(found)

    def labels(self, texts: Iterable[str]) -> frozenset[str]:
        """Tags that any of a photo's texts names, with all that these are a kind of."""
        found = frozenset[str]().union(*map(self.named, texts))
        above = {name for tag in found for name in self.vocabulary.ancestors(tag) if self.vocabulary.find(name) is not None}
        return found | above


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(tag_key(text).replace("’", "'")))
