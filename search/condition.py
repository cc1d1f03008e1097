"""What `--where` may say, and the SQL that it becomes.

A condition is SQL on the columns of a photo, its scores among them, with five things more: `region.area` is a column of one region of the photo, `count(...)`
how many of its regions meet a condition, `left_of('dog', 'car')` whether two of them lie so, `tag('beach')` whether the photo has a tag, and `score('warm')`
its score on an axis that is no column. The text is taken apart into words, names and signs, every one of which
must be known, so that what SQLite gets to see can only ever be a condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from preprocess import FilterError

from .condition_names import FUNCTIONS, NAMES, REGION_NAMES, RELATIONS, SCORE_NAMES, explain, no_column

# fmt: off
_KEYWORDS = frozenset({
    "and", "or", "not", "in", "is", "null", "isnull", "notnull", "like", "glob", "between", "escape", "case", "when", "then", "else", "end", "collate",
    "nocase", "binary", "rtrim", "cast", "as", "text", "int", "integer", "real", "float", "numeric", "true", "false", "distinct", "from",
})
# fmt: on
LONGEST = 10_000  # characters of a condition

_TAGGED = (
    "(images.digest IN (SELECT digest FROM marks.names JOIN marks.tagged USING (tag) JOIN marks.photos USING (photo) WHERE names.key = {}))"
)
_TAGGED_ONE = (
    "EXISTS (SELECT 1 FROM marks.photos JOIN marks.tagged USING (photo) JOIN marks.names USING (tag)"
    " WHERE photos.digest = images.digest AND names.key = {})"
)
"""Whether a photo has a tag. The first, which finds all that have it at once, takes as long for one photo as for all; the second is for one."""

_TOKEN = re.compile(
    r"""[ \t\n\f\r]+
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\])
    | (?P<number>0[xX][0-9a-fA-F]+ | (?:[0-9]+(?:\.[0-9]*)? | \.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<comment>-- | /\* | ;)
    | (?P<sign><= | >= | <> | != | == | << | >> | \|\| | [-+*/%<>=&|~(),.])
    | (?P<unknown>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as SQL over the rows of `images`, joined with those of `regions` as `region` where it is `joined`; `regions` says whether it speaks of
    regions at all. It is joined with those of `marks.photos` as `mark` where it has `axes`, those that it speaks of; `tags` are the tags, as they are written."""

    sql: str
    joined: bool
    regions: bool
    axes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @classmethod
    def parse(cls, where: str, *, one: bool = False) -> Condition:
        """The condition that a text says; with `one`, in a form that is quick for a single photo and slow for all.

        Raises:
            FilterError: it is too long, or has a word or sign that no condition has; the message says which and what there is.
        """
        if not where.strip():
            raise FilterError("--where is empty. Example: --where \"taken_at >= '2024-01-01'\"")
        if "\0" in where or len(where) > LONGEST:
            raise FilterError("--where is too long or has a NUL in it.")
        return _Rewriting(where, one).condition()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def name(self) -> str:
        """What a word or a quoted name calls, in small letters; nothing for anything else."""
        if self.kind == "quoted":
            return self.text[1:-1].lower()
        return self.text.lower() if self.kind == "word" else ""


_END = _Token("end", "")


def _tokens(where: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(where):
        if found.lastgroup == "comment":
            raise FilterError("--where takes one condition, without comments and semicolons.")
        if found.lastgroup == "unknown":
            open_quote = " opens a quote that is not closed" if found.group() in "'\"`[" else " has no meaning here"
            raise FilterError(explain(where, found.group() + open_quote))
        if found.lastgroup:
            yield _Token(found.lastgroup, found.group())


class _Rewriting:
    """One pass over the tokens, without recursion, so that depth costs nothing."""

    def __init__(self, where: str, one: bool) -> None:
        self.where = where
        self.tagged = _TAGGED_ONE if one else _TAGGED
        self.axes: list[str] = []
        self.tags: list[str] = []
        self.tokens = list(_tokens(where))
        self.at = 0
        self.out: list[str] = []
        self.closing: list[str] = []  # of each parenthesis that is open, what closes it in SQL
        self.counting = self.joined = self.regions = False

    def condition(self) -> Condition:
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.out.append(self._sql(token))
            self.at += 1
        if self.closing:
            raise FilterError(explain(self.where, "a parenthesis is not closed"))
        return Condition(" ".join(self.out), self.joined, self.regions, tuple(dict.fromkeys(self.axes)), tuple(dict.fromkeys(self.tags)))

    def _next(self, ahead: int = 1) -> _Token:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else _END

    def _sql(self, token: _Token) -> str:
        if token.text == "(":
            self.closing.append(")")
        elif token.text == ")":
            if not self.closing:
                raise FilterError(f"--where {self.where!r} closes a parenthesis that it never opened.")
            closing = self.closing.pop()
            self.counting = self.counting and closing == ")"
            return closing
        elif token.name and self._next().text == ".":
            return self._qualified(token)
        elif token.kind == "word" and self._next().text == "(":
            return self._called(token)
        elif token.text.startswith('"') and token.name not in NAMES and token.name not in SCORE_NAMES:
            inner = token.text[1:-1]
            raise FilterError(f"--where has {token.text} in double quotes, which name a column. Put text in single quotes: '{inner}'.")
        elif token.name and not (token.kind == "word" and token.name in _KEYWORDS):
            return self._column(token.text, token.name)
        return token.text

    def _column(self, written: str, name: str) -> str:
        if name in ("select", "values", "with"):
            raise FilterError("--where takes a condition on columns, not a query.")
        if name in SCORE_NAMES:
            self.axes.append(name)
            return f'mark."{name}"'
        if name in ("tag", "tags"):
            raise FilterError("--where has no column of tags. Ask whether a photo has one: tag('beach')")
        if name not in NAMES:
            raise FilterError(no_column(written, name))
        return f'images."{name}"'

    def _qualified(self, token: _Token) -> str:
        """A column of a region, or of the photo by the table's name."""
        column = self._next(2)
        self.at += 2
        known = {"region": REGION_NAMES, "images": (*NAMES, *SCORE_NAMES)}.get(token.name, ())
        if column.name not in known:
            raise FilterError(no_column(f"{token.text}.{column.text}", column.name, token.name == "region"))
        if token.name == "images":
            return self._column(column.text, column.name)
        self.regions = True
        self.joined = self.joined or not self.counting
        return f'region."{column.name}"' + (" COLLATE NOCASE" if column.name == "label" else "")

    def _called(self, token: _Token) -> str:
        name = token.name
        if name == "count":
            return self._count()
        if name in RELATIONS:
            return self._relation(name)
        if name in ("tag", "score"):
            return self._marked(name)
        if name not in FUNCTIONS and name not in _KEYWORDS:
            raise FilterError(explain(self.where, f"not authorized: {token.text}"))
        return token.text

    def _count(self) -> str:
        """The opening of a count, up to where its condition begins; all of one without a condition."""
        if self.counting:
            raise FilterError("--where has a count() inside a count(): inside may stand a condition on one region.")
        self.regions = True
        inner = [self._next(2), self._next(3)]
        every = "(SELECT count(*) FROM regions AS region WHERE region.photo = images.vector{})"
        if inner[0].text == ")":
            self.at += 2
            return every.format("")
        if (inner[0].name == "region" or inner[0].text == "*") and inner[1].text == ")":
            self.at += 3
            return every.format("")
        self.at += 1
        self.counting = True
        self.closing.append("))")
        return every.format(" AND (").removesuffix(")")

    def _marked(self, name: str) -> str:
        """Whether the photo has a tag, or its score on an axis."""
        found = [self._next(ahead) for ahead in range(1, 4)]
        if [token.kind for token in found] != ["sign", "text", "sign"] or found[2].text != ")":
            example = "one tag in single quotes: tag('beach')" if name == "tag" else "one axis in single quotes: score('warm') > 0.6"
            raise FilterError(f"--where: {name}() takes {example}.")
        self.at += 3
        text = found[1].text[1:-1].replace("''", "'")
        if name == "tag":
            from .vocabulary import tag_key  # only here: few conditions are about tags

            self.tags.append(text)
            return self.tagged.format(_quoted(tag_key(text)))
        if text.lower() in SCORE_NAMES:
            return self._column(text, text.lower())
        self.axes.append(text)
        return f"(SELECT extra.value FROM marks.extra WHERE extra.axis = {_quoted(text)} AND extra.photo = mark.photo)"  # noqa: S608 (quoted)

    def _relation(self, name: str) -> str:
        found = [self._next(ahead) for ahead in range(1, 6)]
        if [token.kind for token in found] != ["sign", "text", "sign", "text", "sign"] or found[2].text != "," or found[4].text != ")":
            raise FilterError(f"--where: {name}() takes two labels in single quotes: {name}('dog', 'car').")
        if self.counting:
            raise FilterError(f"--where has {name}() inside count(): inside may stand a condition on one region. Join the two with and.")
        self.at += 5
        self.regions = True
        return (
            "EXISTS (SELECT 1 FROM regions AS a, regions AS b WHERE a.photo = images.vector AND b.photo = images.vector AND a.number <> b.number"  # noqa: S608
            f" AND a.label = {found[1].text} COLLATE NOCASE AND b.label = {found[3].text} COLLATE NOCASE AND {RELATIONS[name]})"
        )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
