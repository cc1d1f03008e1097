"""A vocabulary while it is read from a file: every tag with its line, so that messages can say where a fault is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from preprocess import InputError

from .phrases import FORMS, Form, form_of
from .vocabulary import Group, Tag, Vocabulary, check_tags, fault_of, tag_key

if TYPE_CHECKING:
    from .vocabulary_yaml import Node

_TOP = ("name", "from", "select", "without", "groups", "tags")
_GROUP = ("exclusive", "parents", "form", "phrase", "tags")
_TAG = ("synonyms", "parents", "form", "phrase")


@dataclass(slots=True, eq=False)
class Draft:
    """A vocabulary while it is read; `lines` says where a tag was, by its identity: two may be equal."""

    source: str
    name: str
    shipped: Callable[[str], Vocabulary]
    base: str = ""  # the vocabulary that tags without a line are from
    groups: dict[str, Group] = field(default_factory=dict)  # by `tag_key`
    tags: list[Tag] = field(default_factory=list)
    lines: dict[int, int] = field(default_factory=dict)

    def finished(self) -> Vocabulary:
        """What was read, checked.

        Raises:
            InputError: it is no vocabulary; the message says in which line.
        """
        groups = tuple(self.groups.values())
        check_tags(groups, tuple(self.tags), self._place)
        return Vocabulary(self.name, groups, tuple(self.tags))

    def _place(self, tag: Tag) -> str:
        line = self.lines.get(id(tag))
        if line is None and tag.name:
            return f"{self.base}: "
        return f"{self.source}, line {line}: " if line else f"{self.source}: "

    def _fault(self, line: int, fault: str) -> InputError:
        return InputError(f"{self.source}, line {line}: {fault}")

    def _add(self, line: int, tag: Tag) -> None:
        self.tags.append(tag)
        self.lines[id(tag)] = line

    def read_lines(self, text: str) -> None:
        """Plain text: a tag a line."""
        self.groups["tags"] = Group("tags")
        for line, row in enumerate(text.split("\n"), 1):
            said = re.sub(r"(?:^|(?<=\s))#.*", "", row.rstrip("\r")).strip()
            if said:
                name, _, synonyms = said.partition(":")
                self._add(line, Tag(written(name), synonyms=_parts(synonyms), form=form_of(written(name))))

    def read_tree(self, top: Node) -> None:
        """A YAML document.

        Raises:
            InputError: it is not of the shape of a vocabulary; the message says in which line.
        """
        if top.items is not None:
            return self._read_group("tags", {"tags": top}, top.line)
        if top.nothing:
            return None
        values = self._fields(top, _TOP, "a vocabulary")
        if "name" in values:
            self.name = self._text(values["name"])
            if fault := fault_of(self.name, ""):
                raise self._fault(values["name"].line, fault)
        self._take_from(values)
        if "tags" in values:
            self._read_group("tags", {"tags": values["tags"]}, values["tags"].line)
        for key, node in self._pairs(values["groups"], "groups") if "groups" in values else ():
            name = self._text(key)
            fields = {"tags": node} if node.items is not None else self._fields(node, _GROUP, f"the group {name!r}")
            self._read_group(name, fields, key.line)
        return None

    def _take_from(self, values: Mapping[str, Node]) -> None:
        """Groups of a vocabulary that ships, less what is not wanted."""
        for key in ("select", "without"):
            if key in values and "from" not in values:
                raise self._fault(values[key].line, f"{key!r} needs 'from': the vocabulary that it is about.")
        if "from" not in values:
            return
        line = values["from"].line
        try:
            base = self.shipped(self._text(values["from"]))
            self.base = base.name
            if "select" in values:
                line = values["select"].line
                base = base.selected(self._texts(values["select"]))
            if "without" in values:
                line = values["without"].line
                base = base.without(self._texts(values["without"]))
        except InputError as error:
            raise error if str(error).startswith(self.source) else self._fault(line, str(error)) from error
        self.groups.update({tag_key(group.name): group for group in base.groups})
        self.tags.extend(base.tags)

    def _read_group(self, name: str, values: Mapping[str, Node], line: int) -> None:
        if fault := fault_of(name):
            raise self._fault(line, fault)
        if "tags" not in values or values["tags"].nothing:
            raise self._fault(line, f"the group {name!r} has no tags. Give it some, or leave it out.")
        known = self.groups.get(tag_key(name), Group(name))
        exclusive = self._truth(values["exclusive"]) if "exclusive" in values else known.exclusive
        self.groups[tag_key(name)] = Group(known.name, exclusive)
        rest = {key: value for key, value in values.items() if key in _TAG}
        for key, value in self._rows(values["tags"]):
            self._read_tag(known.name, key, value, rest)

    def _rows(self, node: Node) -> list[tuple[Node, Node | None]]:
        """Names with what is said of them: a mapping, or a list whose items are names or mappings."""
        if node.pairs is not None:
            return [*node.pairs]
        if node.items is None:
            raise self._fault(node.line, "tags are a list, or a mapping of each to its synonyms.")
        return [row for item in node.items for row in ([(item, None)] if item.text is not None else self._pairs(item, "a tag"))]

    def _read_tag(self, group: str, key: Node, value: Node | None, defaults: Mapping[str, Node]) -> None:
        name = written(self._text(key))
        if value is None or value.nothing:
            own: dict[str, Node] = {}
        elif value.pairs is None:
            own = {"synonyms": value}
        else:
            own = self._fields(value, _TAG, f"the tag {name!r}")
        values = {**defaults, **own}
        synonyms = self._texts(values["synonyms"]) if "synonyms" in values else ()
        parents = self._texts(values["parents"]) if "parents" in values else ()
        if "parents" not in own:
            parents = tuple(
                parent for parent in parents if tag_key(parent) != tag_key(name)
            )  # a group's first tag may be what the others are
        phrase = written(self._text(values["phrase"])).replace("{}", name) if "phrase" in values else ""
        form = self._form(values["form"]) if "form" in values else form_of(phrase or name)
        self._add(key.line, Tag(name, group, synonyms, parents, phrase if phrase != name else "", form))

    def _fields(self, node: Node, known: tuple[str, ...], what: str) -> dict[str, Node]:
        values: dict[str, Node] = {}
        for key, value in self._pairs(node, what):
            name = self._text(key)
            if name not in known:
                raise self._fault(key.line, f"{what} has no field {name!r}; there are {', '.join(known)}.")
            if name in values:
                raise self._fault(key.line, f"{what} has the field {name!r} twice.")
            values[name] = value
        return values

    def _pairs(self, node: Node, what: str) -> list[tuple[Node, Node]]:
        if node.pairs is None:
            raise self._fault(node.line, f"{what} must be a mapping, with a 'field: value' a line.")
        return node.pairs

    def _text(self, node: Node) -> str:
        if node.text is None:
            raise self._fault(node.line, "there must be a text here, no list or mapping. Put a text that begins with [ or { in quotes.")
        return node.text

    def _texts(self, node: Node) -> tuple[str, ...]:
        """A list of texts, or one text with commas."""
        if node.items is not None:
            return tuple(dict.fromkeys(written(self._text(item)) for item in node.items))
        return () if node.nothing else _parts(self._text(node))

    def _truth(self, node: Node) -> bool:
        if node.text not in ("true", "false"):
            raise self._fault(node.line, f"exclusive is true or false, not {node.text!r}.")
        return node.text == "true"

    def _form(self, node: Node) -> Form:
        if node.text not in FORMS:
            raise self._fault(node.line, f"no form {node.text!r}; there are {', '.join(FORMS)}.")
        return node.text


def written(text: str) -> str:
    """A text as it is kept: composed, without spaces around it or two in a row."""
    return re.sub(" {2,}", " ", unicodedata.normalize("NFC", text)).strip()


def _parts(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for part in text.split(",") if (word := written(part))))
