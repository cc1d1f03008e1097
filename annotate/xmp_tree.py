"""An XMP file as a tree whose elements know which bytes they are, so that an edit can leave all other bytes alone."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from preprocess import InputError

Name = tuple[str, str]  # namespace and local name

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MAX_BYTES = 32_000_000  # Lightroom's masks make sidecars of some megabytes
_MAX_ELEMENTS = 500_000
_MAX_DEPTH = 100

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STARTS = ((b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
_DECLARED = re.compile(rb"""^<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_CODECS = frozenset({"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252"})  # as Python calls them
_START_TAG = re.compile(rb"""<([^\s/>]+)(?:[^>"']++|"[^"]*"|'[^']*')*+>""")
_SEPARATOR = "\n"  # between a namespace and a local name; no namespace has one


@dataclass(slots=True, eq=False)
class Element:
    """An element and its bytes: the start tag is `start:inside`, the content `inside:outside`, the end tag `outside:end`.

    `<a/>` has no content and no end tag: all three ends are the same. `tag` is its name as written, `prefixes` what prefixes mean there.
    """

    name: Name
    tag: bytes
    attributes: Mapping[Name, str]
    prefixes: Mapping[str, str]
    start: int
    inside: int
    outside: int = -1
    end: int = -1
    children: list[Element] = field(default_factory=list)
    text: str = ""

    @property
    def self_closed(self) -> bool:
        """Whether it is written as `<a/>`."""
        return self.inside == self.end


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file's text as UTF-8 without a byte order mark, and how to write it again."""

    text: bytes
    codec: str
    bom: bytes

    def again(self, text: bytes) -> bytes:
        """Another text in the same encoding; a character that it has not becomes a reference such as `&#128049;`."""
        if self.codec == "utf-8":
            return self.bom + text
        return self.bom + text.decode("utf-8").encode(self.codec, "xmlcharrefreplace")


def decoded(data: bytes) -> Encoded:
    """The text of an XML file, by its byte order mark, its first bytes or its XML declaration; otherwise it is UTF-8.

    Raises:
        InputError: the encoding is another, or the bytes are not of it.
    """
    bom, codec = next(((bom, codec) for bom, codec in _BOMS if data.startswith(bom)), (b"", ""))
    if not codec:
        codec = next((codec for start, codec in _STARTS if data.startswith(start)), "") or _declared(data)
    try:
        text = data[len(bom) :].decode(codec)
        return Encoded(text.encode("utf-8"), codec, bom)
    except UnicodeError as error:
        raise InputError(f"is not valid {codec.upper()}: {error}") from error


def _declared(data: bytes) -> str:
    found = _DECLARED.match(data[:300])
    if not found:
        return "utf-8"
    given = found[1].decode("ascii")
    try:
        codec = codecs.lookup(given).name
    except LookupError:
        codec = ""
    if codec not in _CODECS:
        raise InputError(f"is written in the encoding {given}, which is not supported. Save it as UTF-8")
    return codec


def parsed(text: bytes) -> Element:
    """The root of a well-formed XML text in UTF-8. A document type is refused: without one there are no entities to expand or to fetch.

    Raises:
        InputError: it is empty, too large, not well-formed, or has a document type; the message goes on from the file's name.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"has {len(text) / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB")
    if not text.strip():
        raise InputError("is empty")
    return _Builder(text).root()


class _Builder:
    """What expat reports, as elements. The encoding is told to it: what a declaration says does not count any more."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._open: list[Element] = []
        self._words: list[list[str]] = []
        self._root: Element | None = None
        self._scopes: list[Mapping[str, str]] = [{"xml": "http://www.w3.org/XML/1998/namespace"}]
        self._declared: dict[str, str] = {}
        self._count = 0
        self._parser = expat.ParserCreate("utf-8", _SEPARATOR)
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartNamespaceDeclHandler = self._namespace
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data

    def root(self) -> Element:
        try:
            self._parser.Parse(self._text, True)
        except expat.ExpatError as error:
            raise InputError(f"is damaged: {error}") from error
        if self._root is None:  # expat has refused that already
            raise InputError("is empty")
        return self._root

    def _doctype(self, *_: Any) -> None:
        raise InputError("has a document type (<!DOCTYPE>), which no XMP file needs and which can hide harmful entities")

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS or len(self._open) >= _MAX_DEPTH:
            raise InputError(f"has more than {_MAX_ELEMENTS:,} elements, or more than {_MAX_DEPTH} within each other")
        scope = {**self._scopes[-1], **self._declared} if self._declared else self._scopes[-1]
        self._declared = {}
        self._scopes.append(scope)
        start = self._parser.CurrentByteIndex
        tag = _START_TAG.match(self._text, start)
        if tag is None:
            raise InputError(f"is damaged: no start tag at byte {start}")
        element = Element(_name(name), tag[1], {_name(key): value for key, value in attributes.items()}, scope, start, tag.end())
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)
        self._words.append([])

    def _end(self, _name: str) -> None:
        self._scopes.pop()
        element = self._open.pop()
        element.text = "".join(self._words.pop())
        if self._text[element.inside - 2 : element.inside] == b"/>":
            element.outside = element.end = element.inside
        else:
            element.outside = self._parser.CurrentByteIndex
            element.end = self._text.index(b">", element.outside) + 1

    def _data(self, words: str) -> None:
        if self._words:
            self._words[-1].append(words)


def _name(name: str) -> Name:
    namespace, _, local = name.rpartition(_SEPARATOR)
    return namespace, local
