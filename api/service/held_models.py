"""Models that requests use without a library: each is loaded once, when first asked for, and the least used goes when there are many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from preprocess import InputError, LibraryNotFound, choose

from ..wiring import encoder_options
from .kept import Kept

if TYPE_CHECKING:
    from annotate import RegionMaker
    from search import Axes, Encoder, EncoderOptions, Ensemble, PixelScorer, Vectors

    from .state import Service

T = TypeVar("T")

MOST_HELD = 12
"""Sets of words, scorers and makers of regions that are kept. Encoders are the service's own: the library's, and the one that ships."""
MOST_LABELS, MOST_TEXTS = 500, 8_000
"""Of one request: labels, and texts that these make in their templates. A text takes ViT-B-32 about 10 ms."""


@dataclass(frozen=True, eq=False)
class Words:
    """Labels as an encoder understands them: unit rows, Float32["label dim"], and the templates they were asked in."""

    labels: tuple[str, ...]
    rows: Vectors
    templates: str


class HeldModels:
    """What is held for one service. All methods block: call them in `workers`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.one_large = threading.Lock()  # for work on very large pictures, which wait for each other
        self._kept: Kept[Any] = Kept(MOST_HELD)

    def held(self, key: Hashable, load: Callable[[], T]) -> T:
        """What `load` gives; called once for a key, whoever asks at the same time."""
        return cast(T, self._kept.get(key, load))

    def options(self) -> EncoderOptions:
        """How encoders are loaded here: as graphs, GPU or not."""
        settings = self.service.settings
        return encoder_options(settings.model_copy(update={"runtime": "onnx"}) if settings.runtime == "auto" else settings)

    def encoder(self) -> Encoder:
        """The library's encoder; without a library, the one that the settings name, or the one that ships.

        Raises:
            UnknownName, WeightsError: it is not there or damaged.
        """
        from search import load_encoder

        try:
            library = self.service.library()
        except LibraryNotFound:
            name = self.service.settings.encoder or "builtin"
            return self.held(("encoder", name), lambda: load_encoder(name, self.options()))
        return self.service.encoder(library)

    def words(self, encoder: Encoder, labels: Sequence[str], templates: str) -> Words:
        """Labels through an encoder, in the templates of an ensemble.

        Raises:
            UnknownName: there is no such ensemble.
            InputError: there are too many.
        """
        from search import encode_phrases, form_of, load_ensemble

        asked = tuple(dict.fromkeys(" ".join(label.split()) for label in labels))
        ensemble: Ensemble = load_ensemble(templates, encoder)
        texts = sum(len(ensemble.prompts(label, form_of(label))) for label in asked)
        if len(asked) > MOST_LABELS or texts > MOST_TEXTS:
            raise InputError(
                f"{len(asked):,} labels are {texts:,} texts in the templates {ensemble.name!r}; a request may have {MOST_LABELS:,} labels and "
                f"{MOST_TEXTS:,} texts. Send fewer, or with templates=one."
            )
        key = ("words", encoder.recipe.id, ensemble.id, asked)
        return self.held(
            key, lambda: Words(asked, encode_phrases(encoder, [(label, form_of(label)) for label in asked], ensemble), ensemble.id)
        )

    def vocabulary(self, encoder: Encoder, name: str, templates: str) -> Words:
        """A vocabulary that ships, through an encoder. Its vectors lie in the library, where a run of tagging keeps them too.

        Raises:
            UnknownName: there is no such vocabulary or ensemble. A file's name is never taken.
        """
        from search import VOCABULARIES, load_ensemble, load_tagger, load_vocabulary

        choose(VOCABULARIES, name, "vocabulary")
        ensemble = load_ensemble(templates, encoder)

        def load() -> Words:
            tagger = load_tagger(encoder, load_vocabulary(name), ensemble, self._folder())
            return Words(tuple(tag.name for tag in tagger.vocabulary), tagger.texts, tagger.ensemble)

        return self.held(("vocabulary", encoder.recipe.id, name, ensemble.id), load)

    def _folder(self) -> Path | None:
        try:
            return self.service.library().folder / "words"
        except LibraryNotFound:
            return None

    def axes(self, encoder: Encoder) -> Axes:
        """CLIP-IQA's axes in an encoder's space, for the mode "fast"."""
        from search import load_axes

        return self.held(("axes", encoder.recipe.id), lambda: load_axes(encoder))

    def rater(self) -> PixelScorer:
        """The rating, by the encoder that ships."""
        from search import load_encoder, rating_scorer

        builtin = self.held(("encoder", "builtin"), lambda: load_encoder("builtin", self.options()))
        return self.held(("rating",), lambda: rating_scorer(builtin))

    def paper(self, encoder: Encoder) -> tuple[PixelScorer, str]:
        """CLIP-IQA at pictures' own size, and the name of the model that it is of.

        Raises:
            InputError: no model here has its graph; the message says how to add it.
        """
        from search import PAIRS

        from ..scoring import pixel_scorers

        scorers, name = self.held(
            ("paper", encoder.recipe.id), lambda: pixel_scorers(encoder, self.options(), tuple(PAIRS.values()), rated=False)
        )
        return scorers[0], name

    def region_maker(self, name: str) -> RegionMaker:
        """What finds regions, by name.

        Raises:
            UnknownName: there is none of this name.
            InputError: it stands for none.
            WeightsError: its files are missing or damaged.
        """
        from annotate import RegionMakerOptions, load_region_maker

        maker = self.held(("regions", name), lambda: load_region_maker(name, RegionMakerOptions(self.service.settings.models.expanduser())))
        if maker is None:
            raise InputError(f"{name!r} finds no regions. Name a segmenter, such as builtin.")
        return maker


__all__ = ["MOST_LABELS", "HeldModels", "Words"]
