"""What is done to the words of the command line before they are parsed."""

from __future__ import annotations

MINUS = "\u0001-"
"""Stands for the minus of a subtracted term while the command line is parsed, so that it is not taken for an option."""


def protected(arguments: list[str]) -> list[str]:
    """Arguments of `search` in which a subtracted term, such as `-people`, cannot be taken for an option.

    >>> protected(["search", "beach", "-people", "-k", "5"])
    ['search', 'beach', '\\x01-people', '-k', '5']
    """
    if not arguments or arguments[0] != "search":
        return arguments
    out: list[str] = []
    for at, argument in enumerate(arguments):
        is_value = at > 0 and arguments[at - 1] in (
            "-k",
            "--limit",
            "--where",
            "--in",
            "--library",
            "--encoder",
            "--max-megapixels",
            "--html",
            "--sort",
            "--strictness",
        )
        is_option = (
            argument.startswith("--")
            or argument in ("-", "-h")
            or (argument.startswith("-k") and argument[2:].isdigit())
            or argument == "-k"
        )
        if argument == "--":
            return out + arguments[at:]
        subtracts = argument.startswith("-") and not is_option and not is_value
        out.append(MINUS + argument[1:] if subtracts else argument)
    return out


_OPTIONS = (
    "limit",
    "where",
    "in",
    "strictness",
    "sort",
    "diverse",
    "collapse",
    "library",
    "encoder",
    "server",
    "json",
    "paths",
    "html",
    "help",
)


def mistyped(term: str) -> str | None:
    """What to say of a subtracted term that was meant for an option: one letter, or an option's name behind one dash; none of any other term.

    >>> mistyped(MINUS + "json")
    'There is no option -json. Did you mean --json? To subtract the word, write -1:json'
    >>> mistyped(MINUS + "people")
    """
    word = term.removeprefix(MINUS)
    if word == term or (len(word) != 1 and word not in _OPTIONS):
        return None
    meant = f"--{word}" if word in _OPTIONS else "-k" if word == "n" else None
    hint = f" Did you mean {meant}?" if meant else ""
    return f"There is no option -{word}.{hint} To subtract the word, write -1:{word}"
