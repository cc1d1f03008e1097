"""English noun phrases in prompts: "a" or "an", one or many, and what takes no article."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["count", "mass", "plural", "whole"]
"""How a phrase stands in a sentence: "a dog", "snow", "mountains"; a whole one is a sentence of its own, such as "a photo taken in the rain"."""
FORMS: tuple[Form, ...] = ("count", "mass", "plural", "whole")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOWEL_BUT_AN_NOT = re.compile(
    r"(?:uni(?!n|mp|denti)|unesco|us[aeiu]|ut[aeio](?!r)|ur[aeio](?!n)|eu|ew|one(?![a-z])|once|ufo|uk(?![a-z])|ub[ie]|ukulele)",
    re.IGNORECASE,
)
_SILENT_H = re.compile(r"(?:hour|hono|heir|honest)", re.IGNORECASE)
_LETTERS = re.compile(r"[A-Z](?:[A-Z]|[0-9]|[-. ]|$)")  # X-ray, SUV, F1: said letter by letter
_MANY = _words("people men women children feet teeth geese mice police cattle oxen lice")
_ONE_IN_S = _words(
    "lens bus gas glass cross dress grass bass moss class compass cactus octopus walrus crocus hibiscus hippopotamus platypus lotus campus circus virus iris "
    "tennis clematis oasis axis canvas atlas christmas swiss species series chess darts news business address boss princess waitress hostess actress mattress "
    "cypress fortress wilderness harness witness happiness darkness asparagus citrus hummus couscous mess mass brass kiss pass "
    "rhinoceros mantis pancreas christmas bonus menus focus minus plus albatross lacrosse edelweiss"
)
_MASS = _words(
    "snow rain fog mist haze smoke ice frost dew wind weather water sand soil earth mud gravel grass moss ivy bamboo seaweed food bread meat beef pork bacon ham rice "
    "pasta cheese butter milk coffee tea juice beer wine whisky honey sugar salt chocolate hair fur leather wool silk cotton wood metal steel iron gold silver glass "
    "concrete asphalt furniture clothing jewellery jewelry luggage litter graffiti traffic music art nature scenery wildlife vegetation foliage lightning thunder "
    "sunlight moonlight daylight darkness fire lava coral paper money equipment machinery pottery porcelain garlic broccoli popcorn sushi seafood fruit yoga football "
    "tennis golf hockey rugby cricket chess asparagus hummus couscous cycling swimming running skiing surfing"
)
_COUNT_IN_COMPOUNDS = frozenset({"glass", "fire", "paper", "wood", "iron", "light"})  # a wine glass, a house fire
_PERSON = frozenset({"person", "man", "woman", "child", "boy", "girl", "people", "men", "women", "children"})
_IRREGULAR = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "foot": "feet", "tooth": "teeth", "goose": "geese", "mouse": "mice", "ox": "oxen",
    "sheep": "sheep", "deer": "deer", "fish": "fish", "bison": "bison", "moose": "moose", "salmon": "salmon", "trout": "trout", "aircraft": "aircraft",
    "leaf": "leaves", "loaf": "loaves", "knife": "knives", "wolf": "wolves", "calf": "calves", "shelf": "shelves", "scarf": "scarves", "half": "halves",
    "cactus": "cacti", "potato": "potatoes", "tomato": "tomatoes", "mango": "mangoes", "buffalo": "buffaloes", "volcano": "volcanoes", "oasis": "oases",
}  # fmt: skip
_BEFORE = _words("of in on at with under over behind for from to by through above and covered seen wearing holding")
_MANS = _words("human german roman norman ottoman shaman talisman caiman")
_VOWELS = tuple("aeiouàáâäåæèéêëìíîïòóôöøùúûü")
_ARTICLES = ("a ", "an ", "the ", "my ", "our ", "some ")


def article(phrase: str) -> str:
    """ "a" or "an", by how the phrase is said.

    >>> [article(phrase) for phrase in ("dog", "umbrella", "unicycle", "hour", "SUV", "X-ray image", "one-way street", "European robin")]
    ['a', 'an', 'a', 'an', 'an', 'an', 'a', 'a']
    """
    if _VOWEL_BUT_AN_NOT.match(phrase):
        return "a"
    if _LETTERS.match(phrase):
        return "an" if phrase[0] in "AEFHILMNORSX" else "a"
    return "an" if phrase.casefold().startswith(_VOWELS) or _SILENT_H.match(phrase) else "a"


def form_of(phrase: str) -> Form:
    """What a phrase of which nothing is said most likely is: its first noun decides, by common words and its ending. What begins with an article is whole.

    >>> [form_of(phrase) for phrase in ("dog", "snow", "mountains", "bus", "glass of beer", "children playing", "a dog on a beach", "sand dune")]
    ['count', 'mass', 'plural', 'count', 'count', 'plural', 'whole', 'count']
    """
    words = phrase.casefold().split()
    if phrase.casefold().startswith(_ARTICLES):
        return "whole"
    noun = words[_noun(words)] if words else ""
    if noun in _MANY:
        return "plural"
    if noun in _MASS and (len(words) == 1 or noun not in _COUNT_IN_COMPOUNDS):
        return "mass"
    if noun in _ONE_IN_S or not noun.endswith("s") or noun.endswith(("ss", "us", "'s")) or len(noun) < 4:
        return "count"
    return "plural"


def plural(phrase: str) -> str:
    """More than one of it; the noun that changes is the one before "of", "in", "on" and the like.

    >>> [plural(phrase) for phrase in ("dog", "box", "cherry", "monkey", "wooden knife", "bale of hay", "woman")]
    ['dogs', 'boxes', 'cherries', 'monkeys', 'wooden knives', 'bales of hay', 'women']
    """
    words = phrase.split()
    if not words:
        return phrase
    at = _noun([word.casefold() for word in words])
    words[at] = _plural_word(words[at])
    return " ".join(words)


def _noun(words: list[str]) -> int:
    """The place of the noun that a phrase is about: the person who does something, what stands before the first preposition, otherwise the last word."""
    if words[0] in _PERSON and any(word.endswith("ing") for word in words[1:]):
        return 0
    return next((at - 1 for at, word in enumerate(words) if at and word in _BEFORE), len(words) - 1)


def _plural_word(word: str) -> str:
    for one, many in _IRREGULAR.items():
        if word.casefold() == one or (
            len(one) > 2 and word.casefold().endswith(one) and one in ("man", "woman", "child") and word.casefold() not in _MANS
        ):
            return word[: len(word) - len(one)] + many
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return word + "es"
    return re.sub(r"y$", "ies", word) if re.search(r"[^aeiou]y$", word) else word + "s"
