"""Sentences around a tag that an encoder is asked with, and the mean of their vectors."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preprocess import InputError, choose

from .phrases import Form, article, form_of, plural

if TYPE_CHECKING:
    from .encode import Encoder, Vectors

CLIP_80 = (
    "a bad photo of a {}.", "a photo of many {}.", "a sculpture of a {}.", "a photo of the hard to see {}.", "a low resolution photo of the {}.",
    "a rendering of a {}.", "graffiti of a {}.", "a bad photo of the {}.", "a cropped photo of the {}.", "a tattoo of a {}.", "the embroidered {}.",
    "a photo of a hard to see {}.", "a bright photo of a {}.", "a photo of a clean {}.", "a photo of a dirty {}.", "a dark photo of the {}.",
    "a drawing of a {}.", "a photo of my {}.", "the plastic {}.", "a photo of the cool {}.", "a close-up photo of a {}.",
    "a black and white photo of the {}.", "a painting of the {}.", "a painting of a {}.", "a pixelated photo of the {}.", "a sculpture of the {}.",
    "a bright photo of the {}.", "a cropped photo of a {}.", "a plastic {}.", "a photo of the dirty {}.", "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.", "a photo of the {}.", "a good photo of the {}.", "a rendering of the {}.", "a {} in a video game.", "a photo of one {}.",
    "a doodle of a {}.", "a close-up photo of the {}.", "a photo of a {}.", "the origami {}.", "the {} in a video game.", "a sketch of a {}.",
    "a doodle of the {}.", "a origami {}.", "a low resolution photo of a {}.", "the toy {}.", "a rendition of the {}.", "a photo of the clean {}.",
    "a photo of a large {}.", "a rendition of a {}.", "a photo of a nice {}.", "a photo of a weird {}.", "a blurry photo of a {}.", "a cartoon {}.",
    "art of a {}.", "a sketch of the {}.", "a embroidered {}.", "a pixelated photo of a {}.", "itap of the {}.", "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.", "a plushie {}.", "a photo of the nice {}.", "a photo of the small {}.", "a photo of the weird {}.", "the cartoon {}.",
    "art of the {}.", "a drawing of the {}.", "a photo of the large {}.", "a black and white photo of a {}.", "the plushie {}.", "a dark photo of a {}.",
    "itap of a {}.", "graffiti of the {}.", "a toy {}.", "itap of my {}.", "a photo of a cool {}.", "a photo of a small {}.", "a tattoo of the {}.",
)  # fmt: skip
"""The 80 templates of CLIP's zero-shot ImageNet (Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
section 3.1.4), letter by letter as OpenAI published them in `notebooks/Prompt_Engineering_for_ImageNet.ipynb` of github.com/openai/CLIP:

MIT License. Copyright (c) 2021 OpenAI. Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions: The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software. THE
SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR
A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN
AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
CLIP_7 = (
    "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game.", "art of the {}.",
    "a photo of the small {}.",
)  # fmt: skip
"""The seven of `CLIP_80` that forward selection on ImageNet ends with, in its order; the same notebook finds them a little better than all 80."""
PHOTO_3 = ("a photo of a {}", "this is a photo of a {}.", "there is a {} in the picture")
"""For the encoder that ships. Against "a photo of a {}" alone, the mean area under the ROC curve of the words that captions name rises by 0.006 ± 0.002 (52 words,
250 photos of COCO) and 0.010 ± 0.002 (55 words, 150 photos of Flickr8k), and top-1 on 2,000 photos of Tiny-ImageNet falls by 0.008 ± 0.004. `CLIP_7` brings
+0.004 ± 0.004, +0.009 ± 0.005 and -0.020 ± 0.005; `CLIP_80` +0.006 ± 0.004, +0.007 ± 0.004 and -0.010 ± 0.005, at 27 times the work. Tags are judged one by
one, so that the curve counts."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Templates whose vectors are averaged; each holds `{}` once.

    `grammar`: articles and number follow the word ("a photo of an owl", "a photo of snow"); otherwise it is put in as it is, as published figures were made.
    `wholes` stand around a phrase that is a sentence of its own.
    """

    name: str
    templates: tuple[str, ...]
    grammar: bool = True
    wholes: tuple[str, ...] = ("{}",)

    def __post_init__(self) -> None:
        if not self.templates or not self.wholes:
            raise InputError(f"The ensemble {self.name!r} has no templates. Give it one, such as 'a photo of a {{}}'.")
        for template in (*self.templates, *self.wholes):
            if template.count("{}") != 1:
                raise InputError(f"The template {template!r} must hold {{}} once: it stands for the tag.")

    @property
    def id(self) -> str:
        """Its name with eight digits of a hash over all that decides the prompts."""
        said = json.dumps([_VERSION, self.templates, self.grammar, self.wholes])
        return f"{self.name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    def prompts(self, phrase: str, form: Form | None = None) -> tuple[str, ...]:
        """What is asked for a phrase, each once; its form is guessed where none is given.

        >>> load_ensemble("one").prompts("umbrella"), load_ensemble("one").prompts("snow", "mass")
        (('a photo of an umbrella',), ('a photo of snow',))
        """
        form = form or form_of(phrase)
        if form == "whole":
            return tuple(dict.fromkeys(template.replace("{}", phrase) for template in self.wholes))
        if not self.grammar:
            return tuple(dict.fromkeys(template.replace("{}", phrase) for template in self.templates))
        return tuple(dict.fromkeys(_filled(template, phrase, form) for template in self.templates))


_VERSION = 1  # of the rules of grammar: raised where the same templates would give other prompts

ENSEMBLES: Mapping[str, Ensemble] = {
    ensemble.name: ensemble
    for ensemble in (
        Ensemble("one", ("a photo of a {}",)),
        Ensemble("plain", ("{}",)),
        Ensemble("photo-3", PHOTO_3),
        Ensemble("clip-7", CLIP_7),
        Ensemble("clip-80", CLIP_80),
        Ensemble("clip-80-exact", CLIP_80, grammar=False),
        Ensemble("siglip", ("this is a photo of a {}.",)),
    )
}
"""By name. "siglip" is the sentence that SigLIP's model cards ask with; "clip-80-exact" is for comparisons with published figures. "clip-7" serves CLIP: its
authors found it a little better than the 80, and 1,600 tags are 11,000 texts instead of 128,000."""

_FOR = {"builtin": "photo-3", "siglip": "siglip", "clip": "clip-7"}


def family_of(encoder: Encoder) -> str:
    """Which kind of training its texts come from: "builtin", "siglip" (a sigmoid loss, told by the name or a learnt bias), or "clip"."""
    name = encoder.recipe.encoder.casefold()
    model: Any = getattr(encoder, "model", None)
    if name == "builtin" or getattr(model, "source", "") == "builtin":
        return "builtin"
    return "siglip" if "siglip" in name or getattr(model, "logit_bias", None) else "clip"


def load_ensemble(name: str = "auto", encoder: Encoder | None = None) -> Ensemble:
    """The ensemble called `name`; "auto" is the one for the encoder's family, "one" where there is no encoder.

    Raises:
        UnknownName: there is none of this name.
    """
    if name == "auto":
        name = _FOR[family_of(encoder)] if encoder else "one"
    return choose(ENSEMBLES, name, "ensemble of templates")


def encode_phrases(encoder: Encoder, phrases: Sequence[tuple[str, Form]], ensemble: Ensemble) -> Vectors:
    """A unit row for each phrase, Float32["phrase dim"]: the mean of its prompts' unit rows, brought to unit length (Radford et al., section 3.1.4).

    At most `_AT_ONCE` prompts are in work at a time, so that memory does not grow with the vocabulary.
    """
    import numpy as np

    from .encode import normalize

    means = np.zeros((len(phrases), encoder.recipe.dim), np.float32)
    prompts = [ensemble.prompts(phrase, form) for phrase, form in phrases]
    owners = np.repeat(np.arange(len(phrases)), [len(texts) for texts in prompts])
    texts = [text for row in prompts for text in row]
    for start in range(0, len(texts), _AT_ONCE):
        rows = encoder.encode_texts(texts[start : start + _AT_ONCE])
        np.add.at(means, owners[start : start + _AT_ONCE], rows)
    return normalize(means) if len(means) else means


_AT_ONCE = 4096
_GOVERNS = re.compile(r"\b(?:an?|one|many) ((?:(?!(?:of|in)\b)[\w-]+ )*)\{\}")
_ARTICLE = re.compile(r"\ban?(?= )")


def _filled(template: str, phrase: str, form: Form) -> str:
    """The template with the phrase in it, its article and number made to fit."""
    if form == "count":
        if "many {}" in template:
            return template.replace("{}", plural(phrase))
    else:
        template = _GOVERNS.sub(r"\1{}", template)
        if form == "plural":
            template = template.replace("there is {}", "there are {}")
    before, _, after = template.partition("{}")
    said = before + phrase
    for found in reversed(list(_ARTICLE.finditer(before))):
        said = said[: found.start()] + article(said[found.end() + 1 :]) + said[found.end() :]
    return said + after
