"""Vocabularies as files: the ones that ship, and a person's own as plain text or YAML."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path

from preprocess import InputError, choose

from .phrases import form_of
from .vocabulary import Tag, Vocabulary
from .vocabulary_draft import Draft, written

VOCABULARIES: Mapping[str, str] = {
    "photo": "scenes, things, living beings, people, activities, weather, light, and how a photo was taken",
    "scenes": "places and settings",
    "objects": "things, living and made",
    "attributes": "how a photo was taken and what it looks like",
    "weather": "weather, light, time of day and seasons",
    "activities": "what people do, and occasions",
}
"""Those that ship, with what is in them; all others are groups of `photo`."""
MOST_BYTES = 1_000_000
_YAML = (".yaml", ".yml")


def load_vocabulary(name: str) -> Vocabulary:
    """A vocabulary that ships, by name; or the file at a path.

    A file is UTF-8. Plain text has a tag a line, `tag: synonym, synonym`, and comments behind `#`. `.yaml` may also hold groups, parents, forms and
    phrases, take groups `from` one that ships, and leave tags out:

        from: photo
        select: [weather, seasons]      # all groups where this is left out
        without: [drought]
        groups:
          family:
            phrase: "person called {}"
            tags:
              Grandma: granny, nana
              Rex: {synonyms: [our dog], parents: [dog], phrase: brown dog}

    A file in this folder called as a vocabulary that ships is named with its folder: `./photo`.

    Raises:
        UnknownName: there is neither a vocabulary nor a file of this name.
        InputError: the file is no vocabulary; the message says in which line.
    """
    file = Path(name)
    if name and name not in VOCABULARIES and os.path.lexists(file):
        return read_vocabulary(file)
    if not name or file.suffix or name != file.name:
        raise InputError(f"There is no file {name or 'without a name'}. Name one, or a vocabulary: {', '.join(VOCABULARIES)}.")
    return _shipped_as(name)


@cache
def _shipped(name: str) -> Vocabulary:
    return read_vocabulary(Path(__file__).parent / "vocabularies" / f"{name}.yaml")


def read_vocabulary(file: Path) -> Vocabulary:
    """The vocabulary in a file.

    Raises:
        InputError: as `load_vocabulary`.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read as a vocabulary: {error.strerror}. Name a text file with a tag a line.") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{file} has more than {MOST_BYTES:,} bytes, which no vocabulary needs. Name a text file with a tag a line.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}, line {line}: not UTF-8. Save the file as UTF-8 in a text editor.") from error
    return parse_vocabulary(text, file.stem, str(file), as_yaml=file.suffix.lower() in _YAML)


def parse_vocabulary(text: str, name: str, source: str, *, as_yaml: bool) -> Vocabulary:
    """The vocabulary in a text; messages name `source`, and `name` is used where the text gives none.

    Raises:
        InputError: as `load_vocabulary`.
    """
    draft = Draft(source, written(name), _shipped_as)
    if as_yaml:
        from .vocabulary_yaml import read_yaml

        draft.read_tree(read_yaml(text, source))
    else:
        draft.read_lines(text)
    return draft.finished()


def _shipped_as(name: str) -> Vocabulary:
    choose(VOCABULARIES, name, "vocabulary")
    return _shipped(name)


def write_vocabulary(vocabulary: Vocabulary, file: Path) -> None:
    """Write a file that `read_vocabulary` reads as the same tags: `.yaml`, or plain text under any other name.

    Raises:
        InputError: it has groups, parents, forms or phrases, which plain text cannot hold; or the file cannot be written.
    """
    render: Callable[[Vocabulary], str] = vocabulary_yaml_text if file.suffix.lower() in _YAML else vocabulary_text
    text = render(vocabulary)
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from error


def vocabulary_text(vocabulary: Vocabulary) -> str:
    """The tags as plain text.

    Raises:
        InputError: there is more to them than names and synonyms.
    """
    for tag in vocabulary:
        if tag.group != "tags" or tag.parents or tag.phrase or tag.form != form_of(tag.name) or vocabulary.groups[0].exclusive:
            raise InputError(
                f"Plain text holds names and synonyms only, and {tag.name!r} has a group, parent, form or phrase. Write a .yaml."
            )
    return "".join(f"{tag.name}{': ' if tag.synonyms else ''}{', '.join(tag.synonyms)}\n" for tag in vocabulary)


def vocabulary_yaml_text(vocabulary: Vocabulary) -> str:
    """The vocabulary as YAML, each text in quotes."""
    rows = [f"name: {_quoted(vocabulary.name)}", "groups:"]
    exclusive = {group.name for group in vocabulary.groups if group.exclusive}
    for name, tags in groupby(vocabulary, lambda tag: tag.group):
        rows += [f"  {_quoted(name)}:", *(["    exclusive: true"] if name in exclusive else []), "    tags:"]
        rows += [f"      {_quoted(tag.name)}: {{{', '.join(_fields_of(tag))}}}" for tag in tags]
    return "\n".join(rows) + "\n"


def _fields_of(tag: Tag) -> list[str]:
    lists = [
        f"{name}: [{', '.join(map(_quoted, words))}]" for name, words in (("synonyms", tag.synonyms), ("parents", tag.parents)) if words
    ]
    phrase = [f"phrase: {_quoted(tag.phrase)}"] if tag.phrase else []
    return [*lists, *phrase, *([f"form: {tag.form}"] if tag.form != form_of(tag.phrase or tag.name) else [])]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
