"""Dehazers by name, and the rules by which a build decides whether a photo is dehazed.

A dehazer is a function of pixels. A rule looks at a photo, measures its haze density, and says whether a dehazed version is worth keeping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from .choose import choose
from .image import RgbImage


class Dehazer(Protocol):
    """Removes haze: pixels to pixels of the same size. Pure, and safe to call from many threads.

    `id` is its name and the version of its parameters, such as "dark-channel-1": what a recipe says, so that rows of different ones are never mixed.
    """

    id: str

    def __call__(self, pixels: RgbImage) -> RgbImage:
        """The dehazed picture; a new array."""
        ...


def _dark_channel(preset: str) -> Dehazer:
    from .dark_channel import PRESETS, DarkChannel

    return DarkChannel(choose(PRESETS, preset, "preset"))


def _dehazenet(preset: str) -> Dehazer:
    from ._learned_dehaze import DehazeNet

    choose({"default": None}, preset, "preset of dehazenet")
    return DehazeNet()


def _aod_net(preset: str) -> Dehazer:
    from ._learned_dehaze import AodNet

    choose({"default": None}, preset, "preset of aod-net")
    return AodNet()


def _auto(preset: str) -> Dehazer:
    from .gate import Gate

    return Gate(_dark_channel(preset))


DEHAZERS: Mapping[str, Callable[[str], Dehazer]] = {
    "auto": _auto,
    "dark-channel": _dark_channel,
    "dehazenet": _dehazenet,
    "aod-net": _aod_net,
}
"""Dehazers by name, each a function of the name of a preset."""


@cache
def load_dehazer(name: str = "auto", preset: str = "default") -> Dehazer:
    """The dehazer called `name`, ready to run.

    Raises:
        UnknownName: there is no such dehazer or preset.
        WeightsError: the file of a learned one is missing or damaged.
    """
    return choose(DEHAZERS, name, "dehazer")(preset)


HAZE_VERSION = 1
"""Of the haze model: a part of every rule's id, so that photos are measured again by a newer one."""

DEHAZED_SHORT = 256
"""Pixels that the short side keeps at least where a photo is judged and dehazed for its vector; twice what the encoder needs, where that is more."""

DEHAZED_PIXELS = 2_000_000
"""The most pixels that are judged and dehazed for a vector: what matters for photos that are very much longer than wide."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a rule says of a photo: its haze density in [0, 1], and the dehazed pixels where they are worth keeping, with the `id` of their maker.

    `reason` says in a few words why there are none; it is empty where there are.
    """

    haze: float
    pixels: RgbImage | None = None
    enhancer: str | None = None
    reason: str = ""


class DehazeRule(Protocol):
    """Decides for each photo. `id` is its name and version: a photo is looked at again when the rule is another one.

    `dehazer` is what dehazes, none where nothing does; a photo that was decided on before is dehazed by it without being judged again.
    """

    @property
    def id(self) -> str:
        """Name and version."""
        ...

    @property
    def dehazer(self) -> Dehazer | None:
        """What dehazes."""
        ...

    def judge(self, pixels: RgbImage) -> Judged:
        """Measure the haze, and dehaze where the rule says so."""
        ...


class Never:
    """Measures the haze and dehazes nothing."""

    id = f"none-{HAZE_VERSION}"
    dehazer = None

    def judge(self, pixels: RgbImage) -> Judged:
        """Only the density."""
        from .haze import haze_density

        return Judged(haze_density(pixels), reason="not asked for")


class Always:
    """Dehazes every photo by one method."""

    def __init__(self, dehazer: Dehazer) -> None:
        self.dehazer, self.id = dehazer, f"every-{HAZE_VERSION}+{dehazer.id}"

    def judge(self, pixels: RgbImage) -> Judged:
        """The density, and the dehazed pixels, whatever it is."""
        from .haze import haze_density

        return Judged(haze_density(pixels), self.dehazer(pixels), self.dehazer.id)


DEHAZE_RULES = ("none", *DEHAZERS)
_FOR_SEARCH = {"auto": "search", "dark-channel": "search"}  # presets


@cache
def load_rule(name: str) -> DehazeRule:
    """The rule called `name`: "none", "auto", or a dehazer's name, which dehazes every photo. The dark channel's are those of its preset "search".

    Raises:
        UnknownName: there is no such rule.
        WeightsError: the file of a learned dehazer is missing or damaged.
    """
    choose(dict.fromkeys(DEHAZE_RULES), name, "way to dehaze")
    if name == "none":
        return Never()
    return rule_of(load_dehazer(name, _FOR_SEARCH.get(name, "default")))


def rule_of(dehazer: Dehazer) -> DehazeRule:
    """The rule that a dehazer stands for: a gate decides itself, any other dehazes every photo."""
    from .gate import Gate

    return dehazer if isinstance(dehazer, Gate) else Always(dehazer)
