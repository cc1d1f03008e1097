"""What regions can be called: names, the numbers and colours that stand for them, other words for them, and what they are kinds of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess import InputError, choose

from .palette import Colour, colour_for, colours_for, hex_of

NOTHING = 255
"""In a class map, the number of pixels that have no label."""


@dataclass(frozen=True, slots=True)
class Label:
    """A class of regions. `id` is its number in class maps (0-254) or data sets (also above 255).

    `aliases` are other words for it; `parent` is what it is a kind of: the name of a category, or of another label.
    """

    id: int
    name: str
    colour: Colour
    aliases: tuple[str, ...] = ()
    parent: str | None = None

    def __post_init__(self) -> None:
        if not all(_normal(word) for word in (self.name, *self.aliases)) or (self.parent is not None and not _normal(self.parent)):
            raise InputError(f"The label {self.name!r} (id {self.id}) has an empty name, alias or parent. Give it a word, or leave it out.")
        if self.id < 0 or self.id == NOTHING:
            raise InputError(f"The label {self.name!r} cannot have id {self.id}: ids are 0 or more, and {NOTHING} means no label.")
        if len(self.colour) != 3 or not all(0 <= value <= 255 for value in self.colour):
            raise InputError(f"The colour {self.colour} of {self.name!r} is not red, green and blue of 0-255.")


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels, no two of which share a name, id or alias. Words are compared without regard to case, and `-`, `_` and spaces are one.

    >>> labels = LabelSet.of(["traffic light", "car"], aliases={"car": ["automobile"]}, parents={"car": "vehicle"})
    >>> labels.find("Automobile").id, labels.find("traffic_light").id, labels.find("dog")
    (1, 0, None)
    >>> labels.category("car"), labels.category("traffic light")
    ('vehicle', 'traffic light')
    """

    labels: tuple[Label, ...]
    _by_word: dict[str, Label] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len({label.id for label in self.labels}) != len(self.labels):
            raise InputError("Two labels of a set have the same id. Give each one its own.")
        by_word: dict[str, Label] = {}
        for label in self.labels:
            for word in (label.name, *label.aliases):
                other = by_word.setdefault(_normal(word), label)
                if other is not label:
                    raise InputError(
                        f"{word!r} stands for both {other.name!r} and {label.name!r}. A word can mean one label only: rename one."
                    )
        object.__setattr__(self, "_by_word", by_word)
        for label in self.labels:
            self._ancestors(label)

    @classmethod
    def of(
        cls, names: Iterable[str], *, aliases: Mapping[str, Iterable[str]] | None = None, parents: Mapping[str, str] | None = None
    ) -> LabelSet:
        """Labels with ids from 0 on, in the order given, and colours: Okabe and Ito's seven first, then ones that the names decide.

        Raises:
            InputError: a name is empty or comes twice, or aliases or parents are given for one that is not there.
        """
        names = list(names)
        for name in (*(aliases or ()), *(parents or ())):
            if name not in names:
                raise InputError(f"Aliases or a parent are given for {name!r}, which is not one of the names: {', '.join(names)}.")
        return cls(()).extended(names, aliases=aliases, parents=parents)

    def extended(
        self, names: Iterable[str], *, aliases: Mapping[str, Iterable[str]] | None = None, parents: Mapping[str, str] | None = None
    ) -> LabelSet:
        """With further labels behind; those that are there keep their ids and colours."""
        names, aliases, parents = list(names), aliases or {}, parents or {}
        labels = list(self.labels)
        colours = colours_for([_normal(name) for name in names], [label.colour for label in labels])
        for name, colour in zip(names, colours, strict=True):
            number = max((label.id for label in labels), default=-1) + 1
            labels.append(Label(number + (number == NOTHING), name, colour, tuple(aliases.get(name, ())), parents.get(name)))
        return LabelSet(tuple(labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def find(self, word: str) -> Label | None:
        """The label with that name or alias, or none."""
        return self._by_word.get(_normal(word))

    def named(self, word: str) -> Label:
        """The label with that name or alias.

        Raises:
            UnknownName: there is none; the message suggests the nearest.
        """
        return self.find(word) or choose({label.name: label for label in self.labels}, word, "label")

    def numbered(self, number: int) -> Label:
        """The label with that id.

        Raises:
            InputError: there is none.
        """
        for label in self.labels:
            if label.id == number:
                return label
        raise InputError(
            f"No label has id {number}; there are {', '.join(f'{label.id} ({label.name})' for label in self.labels) or 'none'}."
        )

    def colour(self, word: str) -> Colour:
        """The colour of that name or alias; of a word that is not in the set, one that the word decides."""
        label = self.find(word)
        return label.colour if label else colour_for(_normal(word), [label.colour for label in self.labels])

    def category(self, word: str) -> str:
        """What the label is a kind of, at the coarsest level; its own name where it has no parent.

        Raises:
            UnknownName: there is no such label.
        """
        label = self.named(word)
        return (label.name, *self._ancestors(label))[-1]

    def under(self, word: str) -> tuple[str, ...]:
        """The names of all labels that are that (by name, alias or category) or a kind of it, in the set's order."""
        label = self.find(word)
        wanted = _normal(label.name if label else word)
        return tuple(label.name for label in self.labels if wanted in map(_normal, (label.name, *self._ancestors(label))))

    def categories(self) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
        """The coarsest names, in the set's order, and a table UInt8[256] that makes a class map one of these, by their places.

        Raises:
            InputError: an id is above 254, so that there is no class map of these labels.
        """
        table, names = np.full(256, NOTHING, np.uint8), dict[str, tuple[int, str]]()
        for label in self.labels:
            if label.id > NOTHING:
                raise InputError(f"The label {label.name!r} has id {label.id}; a class map holds ids of 0-254 only.")
            category = self.category(label.name)
            table[label.id] = names.setdefault(_normal(category), (len(names), category))[0]
        return tuple(name for _, name in names.values()), table

    def to_json(self) -> str:
        """All of it as JSON, which `from_json` reads."""
        rows = [
            {"id": label.id, "name": label.name, "colour": hex_of(label.colour)}
            | ({"aliases": list(label.aliases)} if label.aliases else {})
            | ({"parent": label.parent} if label.parent is not None else {})
            for label in self.labels
        ]
        return json.dumps({"labels": rows}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> LabelSet:
        """What `to_json` wrote, or a person: `colour`, `aliases` and `parent` may be left out.

        Raises:
            InputError: it is not JSON of that shape; the message says where.
        """
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"The label set is not JSON: {error}.") from error
        rows = content.get("labels") if isinstance(content, dict) else None
        if not isinstance(rows, list) or set(content) != {"labels"}:
            raise InputError('A label set is JSON of the form {"labels": [{"id": 0, "name": "sky"}, ...]}.')
        for at, row in enumerate(rows):
            _check_row(at, row)
        given = [_colour(row) for row in rows if "colour" in row]
        rest = iter(colours_for([_normal(row["name"]) for row in rows if "colour" not in row], given))
        return cls(
            tuple(
                Label(
                    row["id"],
                    row["name"],
                    _colour(row) if "colour" in row else next(rest),
                    tuple(row.get("aliases", ())),
                    row.get("parent"),
                )
                for row in rows
            )
        )

    def _ancestors(self, label: Label) -> list[str]:
        """What it is a kind of, the nearest first."""
        chain, seen = [], {_normal(label.name)}
        while label.parent is not None:
            above = self.find(label.parent)
            name = above.name if above else label.parent
            if _normal(name) in seen:
                raise InputError(f"The label {name!r} is a kind of itself, by its parents. Leave one of them out.")
            seen.add(_normal(name))
            chain.append(name)
            if above is None:
                break
            label = above
        return chain


def _normal(word: str) -> str:
    return " ".join(word.replace("_", " ").replace("-", " ").casefold().split())


_KINDS: dict[str, type | tuple[type, ...]] = {"id": int, "name": str, "colour": str, "aliases": list, "parent": str}


def _check_row(at: int, row: Any) -> None:
    if not isinstance(row, dict) or not {"id", "name"} <= set(row):
        raise InputError(f"Label {at} of the set needs an id and a name: {row!r}.")
    if unknown := sorted(set(row) - set(_KINDS)):
        raise InputError(f"Label {at} ({row['name']!r}) has a field {unknown[0]!r}; there are {', '.join(_KINDS)}.")
    for key, value in row.items():
        words = value if key == "aliases" and isinstance(value, list) else []
        if not isinstance(value, _KINDS[key]) or isinstance(value, bool) or not all(isinstance(word, str) for word in words):
            raise InputError(f"The {key} of label {at} ({row['name']!r}) is {value!r}, which it cannot be.")


def _colour(row: Mapping[str, str]) -> Colour:
    digits = row["colour"].removeprefix("#")
    if len(digits) != 6 or set(digits.lower()) - set("0123456789abcdef"):
        raise InputError(f"The colour of label {row['name']!r} is {row['colour']!r}; write it as #e69f00.")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
