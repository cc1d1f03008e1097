"""The words that photos can be tagged with: names, synonyms, what each is a kind of, and which exclude each other."""

from __future__ import annotations

import difflib
import graphlib
import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from preprocess import InputError, UnknownName, choose

from .phrases import Form

MOST_TAGS = 10_000
MOST_WORDS = 100  # synonyms, or parents, of one tag
MOST_LETTERS = 200  # of a name, synonym or phrase: more than the words that any encoder's text tower takes
_FORBIDDEN = ",;|:{}<>"
"""In names, synonyms and parents: they part keywords in files of keywords, in sidecars and in our own text files."""


@dataclass(frozen=True, slots=True)
class Group:
    """Tags that belong together. Where it is `exclusive`, a photo has one of them at most."""

    name: str
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """A word for a photo. `parents` are what it is a kind of: other tags, or names of categories that are no tags themselves.

    An encoder is asked with `phrase`, or with the name where that is empty; `form` says how it stands in a sentence.
    """

    name: str
    group: str = "tags"
    synonyms: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    phrase: str = ""
    form: Form = "count"

    @property
    def words(self) -> tuple[str, ...]:
        """The name, then the synonyms."""
        return (self.name, *self.synonyms)

    @property
    def asked(self) -> tuple[str, Form]:
        """What `encode_phrases` takes."""
        return self.phrase or self.name, self.form


def tag_key(word: str) -> str:
    """A word as tags are compared: composed (NFC), without regard to case, and `-`, `_` and spaces are one.

    >>> tag_key(" Black-and-White "), tag_key("cafe\u0301") == tag_key("CAFÉ")
    ('black and white', True)
    """
    plain = unicodedata.normalize("NFC", word).replace("_", " ").replace("-", " ")
    return unicodedata.normalize("NFC", " ".join(plain.casefold().split()))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tags, no two of which share a name or synonym, in their groups' order.

    >>> tags = (Tag("animal"), Tag("dog", synonyms=("canine",), parents=("animal",)), Tag("corgi", parents=("dog",)))
    >>> words = Vocabulary("mine", (Group("tags"),), tags)
    >>> words.named("Canine").name, words.path("corgi"), [tag.name for tag in words.under("dog")]
    ('dog', ('animal', 'dog', 'corgi'), ['dog', 'corgi'])
    """

    name: str
    groups: tuple[Group, ...]
    tags: tuple[Tag, ...]
    _by_word: dict[str, Tag] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_tags(self.groups, self.tags, lambda _: f"The vocabulary {self.name!r}: ")
        order = {group.name: at for at, group in enumerate(self.groups)}
        object.__setattr__(self, "tags", tuple(sorted(self.tags, key=lambda tag: order[tag.group])))
        object.__setattr__(self, "_by_word", {tag_key(word): tag for tag in self.tags for word in tag.words})

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[Tag]:
        return iter(self.tags)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits over all that is in it, its name aside: what text vectors and runs of tagging are kept by."""
        rows = [[tag.group, tag.name, tag.synonyms, tag.parents, tag.phrase, tag.form] for tag in self.tags]
        said = json.dumps([[[group.name, group.exclusive] for group in self.groups], rows], ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def find(self, word: str) -> Tag | None:
        """The tag with that name or synonym, or none."""
        return self._by_word.get(tag_key(word))

    def named(self, word: str) -> Tag:
        """The tag with that name or synonym.

        Raises:
            UnknownName: there is none; the message holds the nearest three.
        """
        tag = self.find(word)
        if tag is None:
            close = difflib.get_close_matches(tag_key(word), self._by_word, n=3, cutoff=0.7)
            near = list(dict.fromkeys(self._by_word[key].name for key in close))
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UnknownName(f"No tag {word!r} in the vocabulary {self.name!r} of {len(self):,} tags.{hint}")
        return tag

    def group(self, name: str) -> tuple[Tag, ...]:
        """The tags of a group.

        Raises:
            UnknownName: there is no such group.
        """
        return self.selected([name]).tags

    def ancestors(self, word: str) -> tuple[str, ...]:
        """All that a tag is a kind of, by whichever parent, the nearest first."""
        found: dict[str, str] = {}
        waiting = [*self.named(word).parents]
        for parent in waiting:  # grows
            tag = self.find(parent)
            if tag_key(tag.name if tag else parent) not in found:
                found[tag_key(tag.name if tag else parent)] = tag.name if tag else parent
                waiting += tag.parents if tag else ()
        return tuple(found.values())

    def path(self, word: str) -> tuple[str, ...]:
        """From the coarsest to the tag itself, by first parents: what a hierarchy of keywords holds."""
        tag: Tag | None = self.named(word)
        chain: list[str] = []
        while tag is not None:
            chain.append(tag.name)
            above = tag.parents[0] if tag.parents else None
            tag = self.find(above) if above is not None else None
            if above is not None and tag is None:
                chain.append(above)
        return tuple(reversed(chain))

    def under(self, word: str) -> tuple[Tag, ...]:
        """All tags that are that, by name, synonym or category, or a kind of it, in the vocabulary's order."""
        tag = self.find(word)
        kinds: dict[str, list[str]] = {}
        for each in self.tags:
            for parent in each.parents:
                above = self.find(parent)
                kinds.setdefault(tag_key(above.name if above else parent), []).append(tag_key(each.name))
        waiting = [tag_key(tag.name if tag else word)]
        found = set(waiting)
        for key in waiting:  # grows
            new = [kind for kind in kinds.get(key, ()) if kind not in found]
            found.update(new)
            waiting += new
        return tuple(each for each in self.tags if tag_key(each.name) in found)

    def selected(self, groups: Iterable[str], name: str | None = None) -> Vocabulary:
        """Only some groups, in this vocabulary's order; parents that are left out stay as categories.

        Raises:
            UnknownName: there is no such group.
        """
        known = {tag_key(group.name): group.name for group in self.groups}
        chosen = {choose(known, tag_key(group), "group of tags") for group in groups}
        kept = tuple(group for group in self.groups if group.name in chosen)
        return Vocabulary(name or self.name, kept, tuple(tag for tag in self.tags if tag.group in chosen))

    def without(self, words: Iterable[str]) -> Vocabulary:
        """All but some tags.

        Raises:
            UnknownName: there is no such tag.
        """
        gone = {self.named(word).name for word in words}
        tags = tuple(tag for tag in self.tags if tag.name not in gone)
        left = {tag.group for tag in tags}
        return replace(self, groups=tuple(group for group in self.groups if group.name in left), tags=tags)


def check_tags(groups: tuple[Group, ...], tags: tuple[Tag, ...], place: Callable[[Tag], str]) -> None:
    """Refuse what is no vocabulary; `place` begins the message about a tag.

    Raises:
        InputError: nothing or too much in it, a word that cannot be one, one word for two tags, or a tag that is a kind of itself.
    """
    if not tags:
        raise InputError(f"{place(Tag(''))}there are no tags. Give at least one, a line each.")
    if len(tags) > MOST_TAGS:
        raise InputError(f"{place(tags[MOST_TAGS])}there are {len(tags):,} tags; the most are {MOST_TAGS:,}. Leave some out.")
    names = [group.name for group in groups]
    if len(set(map(tag_key, names))) != len(names) or {tag.group for tag in tags} != set(names):
        raise InputError(f"{place(tags[0])}each tag needs a group, and each group a name of its own and at least one tag.")
    by_word: dict[str, Tag] = {}
    for tag in tags:
        if max(len(tag.synonyms), len(tag.parents)) > MOST_WORDS:
            raise InputError(f"{place(tag)}{tag.name!r} has more than {MOST_WORDS} synonyms or parents. Leave some out.")
        for word in (*tag.words, *tag.parents, tag.group):
            if fault := fault_of(word):
                raise InputError(f"{place(tag)}{fault}")
        if tag.phrase and (fault := fault_of(tag.phrase, "{}")):
            raise InputError(f"{place(tag)}{fault}")
        keys = [tag_key(word) for word in tag.words]
        if len(set(keys)) < len(keys):
            twice = tag.words[next(at for at, key in enumerate(keys) if key in keys[:at])]
            raise InputError(f"{place(tag)}{twice!r} is there twice for one tag. Once is enough; case, '-' and '_' make no difference.")
        for word, key in zip(tag.words, keys, strict=True):
            other = by_word.setdefault(key, tag)
            if other is not tag:
                first, here = place(other).rstrip(": "), place(tag).rstrip(": ")
                where = "" if first == here else f" ({first})"
                if key == tag_key(other.name) == tag_key(tag.name):
                    raise InputError(f"{place(tag)}{word!r} is there already{where}. Leave one out; case, '-' and '_' make no difference.")
                raise InputError(f"{place(tag)}{word!r} stands for {other.name!r}{where} and for {tag.name!r}. A word means one tag only.")
    above = {tag.name: {by_word[key].name for parent in tag.parents if (key := tag_key(parent)) in by_word} for tag in tags}
    try:
        graphlib.TopologicalSorter(above).prepare()
    except graphlib.CycleError as error:
        circle: list[Any] = error.args[1]
        chain = " is a kind of ".join(map(repr, reversed(circle)))
        raise InputError(f"{place(by_word[tag_key(circle[0])])}{chain}. Leave one of these parents out.") from error


def fault_of(word: str, forbidden: str = _FORBIDDEN) -> str | None:
    """Why a text cannot be a word of a vocabulary, or none."""
    if not tag_key(word):
        return f"{word!r} is no word. Give one, or leave it out."
    if len(word) > MOST_LETTERS:
        return f"{word[:40]!r}... has {len(word):,} letters; the most are {MOST_LETTERS}. Say it in fewer words."
    bad = next((letter for letter in word if letter in forbidden or not _printable(letter)), None)
    if bad is not None:
        return f"{word!r} holds {bad!r}, which a tag cannot. Leave it out."
    if word != " ".join(unicodedata.normalize("NFC", word).split()):
        return f"{word!r} is not written as {' '.join(unicodedata.normalize('NFC', word).split())!r}."
    if forbidden == _FORBIDDEN and " #" in f" {word}":
        return f"{word!r} holds a word that begins with '#', which begins a comment. Leave the '#' out."
    return None


def _printable(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp") and letter != "\ufeff" and ord(letter) & 0xFFFE != 0xFFFE
