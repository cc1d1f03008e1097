"""Documents that are damaged, harmful or in no form that can be added to."""

from __future__ import annotations

import pytest

from annotate.xmp_document import XmpDocument
from annotate.xmp_tree import RDF
from preprocess import InputError

BARE = f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about=""/></rdf:RDF>'


def bare(inner: str, scope: str = "") -> bytes:
    return f'<rdf:RDF xmlns:rdf="{RDF}" {scope}><rdf:Description rdf:about="">{inner}</rdf:Description></rdf:RDF>'.encode()


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\0" * 20, "is damaged"),
        (b"\xff\xd8\xff\xe0 a photo", "is not valid UTF-8"),
        (b"\xff\xfe<\0x", "is not valid UTF-16-LE"),
        (BARE.encode()[:-5], "is damaged: no element found|is damaged: unclosed token"),
        (BARE.encode() + b"x", "is damaged"),
        (b"<svg><rect/></svg>", "is no XMP: it has no rdf:RDF"),
        (b"<x>" + BARE.encode() * 2 + b"</x>", "is no XMP: it has 2 rdf:RDF"),
        (BOMB.encode() + BARE.encode(), "has a document type"),
        (b"\xff\xfe" + (BOMB + BARE).encode("utf-16-le"), "has a document type"),
        (b'<!DOCTYPE r SYSTEM "file:///etc/passwd">' + BARE.encode(), "has a document type"),
        (b'<?xml version="1.0" encoding="utf-7"?>' + BARE.encode(), "the encoding utf-7, which is not supported"),
        (b'<?xml version="1.0" encoding="nonsense"?>' + BARE.encode(), "the encoding nonsense"),
        (b"<a>" * 200 + b"</a>" * 200, "more than 100 within each other"),
        (BARE.replace("rdf:about", 'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:subject').encode(), "has subject as an attribute"),
        (bare("<d:subject>sea</d:subject>", 'xmlns:d="http://purl.org/dc/elements/1.1/"'), "has subject in a form that is no list"),
        (bare("<d:subject><x/></d:subject>", 'xmlns:d="http://purl.org/dc/elements/1.1/"'), "has subject in a form that is no list"),
    ],
)
def test_refused(data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        XmpDocument(data)


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotate.xmp_tree.MAX_BYTES", 1000)
    with pytest.raises(InputError, match="the limit is"):
        XmpDocument(BARE.encode() + b" " * 1000)
    monkeypatch.setattr("annotate.xmp_tree._MAX_ELEMENTS", 2)
    with pytest.raises(InputError, match="has more than 2 elements"):
        XmpDocument(bare("<a/>"))
