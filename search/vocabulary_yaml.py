"""YAML as plain texts with their lines: no anchors, aliases or tags, so that a file can neither make objects nor grow when it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from preprocess import InputError

_DEEPEST = 8
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where it was built: 10 times as fast


@dataclass(slots=True, eq=False)
class Node:
    """A text (with `plain` where it was not quoted), a list, or a mapping as pairs; and the line where it begins, from 1."""

    line: int
    text: str | None = None
    plain: bool = False
    items: list[Node] | None = None
    pairs: list[tuple[Node, Node]] | None = None
    _open: list[Node] = field(default_factory=list)  # the key of a pair that waits for its value

    @property
    def nothing(self) -> bool:
        """Whether it is YAML's null."""
        return self.plain and self.text in ("", "~", "null")

    def add(self, node: Node) -> None:
        """Put a child in."""
        if self.items is not None:
            self.items.append(node)
        elif self.pairs is not None and self._open:
            self.pairs.append((self._open.pop(), node))
        else:
            self._open.append(node)


def read_yaml(text: str, source: str) -> Node:
    """The one document in a text.

    Raises:
        InputError: it is not YAML, holds more than texts, lists and mappings, or is nested too deeply; the message says in which line.
    """
    top = Node(1, items=[])
    stack = [top]
    try:
        for event in _events(text):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent) and top.items:
                raise InputError(f"{source}, line {line}: a second document begins ('---'). Keep one vocabulary in a file.")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise InputError(
                    f"{source}, line {line}: anchors (&) and aliases (*) are not read. Write the text out, or put it in quotes."
                )
            if getattr(event, "tag", None) is not None:
                raise InputError(f"{source}, line {line}: YAML's own tags (!) are not read. Leave it out, or put the text in quotes.")
            if isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
                continue
            node = _node(event, line)
            if node is not None:
                stack[-1].add(node)
                if node.text is None:
                    stack.append(node)
                if len(stack) > _DEEPEST:
                    raise InputError(f"{source}, line {line}: nested more than {_DEEPEST} levels deep, which no vocabulary is.")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}{where}: not YAML: {error.problem}. Texts with ': ' or '#' in them need quotes.") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputError(f"{source}: not YAML: {' '.join(str(error).split())}.") from error
    return top.items[0] if top.items else Node(1, "", plain=True)


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=_LOADER)


def _node(event: Any, line: int) -> Node | None:
    if isinstance(event, yaml.ScalarEvent):
        return Node(line, event.value, plain=not event.style)
    if isinstance(event, yaml.SequenceStartEvent):
        return Node(line, items=[])
    return Node(line, pairs=[]) if isinstance(event, yaml.MappingStartEvent) else None
