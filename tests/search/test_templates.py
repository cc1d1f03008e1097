"""Prompts around tags: CLIP's published templates, English articles and plurals, and means of vectors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess import InputError, UnknownName
from search.phrases import article, form_of, plural
from search.templates import CLIP_7, CLIP_80, ENSEMBLES, Ensemble, encode_phrases, family_of, load_ensemble
from search.vocabulary_file import load_vocabulary


class TestPublished:
    def test_the_80_are_those_of_the_paper_in_order(self) -> None:
        """The hash is of the 80 lines as they stand in OpenAI's notebook."""
        assert len(CLIP_80) == len(set(CLIP_80)) == 80
        assert hashlib.sha256("\n".join(CLIP_80).encode()).hexdigest() == "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"
        assert set(CLIP_7) < set(CLIP_80)
        assert len(CLIP_7) == 7

    def test_open_clip_has_the_same(self) -> None:
        found = find_spec("open_clip")
        if found is None or not found.submodule_search_locations:
            pytest.skip("open_clip is not installed")
        spec = spec_from_file_location("published", Path(found.submodule_search_locations[0]) / "zero_shot_metadata.py")
        assert spec is not None and spec.loader is not None  # noqa: PT018
        theirs: Any = module_from_spec(spec)  # without the package, which brings in torch
        spec.loader.exec_module(theirs)
        assert tuple(template("{}") for template in theirs.OPENAI_IMAGENET_TEMPLATES) == CLIP_80
        assert tuple(template("{}") for template in theirs.SIMPLE_IMAGENET_TEMPLATES) == CLIP_7

    def test_exact_ones_are_filled_without_grammar(self) -> None:
        prompts = load_ensemble("clip-80-exact").prompts("owl")
        assert prompts == tuple(template.format("owl") for template in CLIP_80)
        assert "a origami owl." in prompts
        assert "a photo of a owl." in prompts


@pytest.mark.parametrize(
    ("phrase", "wanted"),
    [
        *((word, "an") for word in ("apple", "egg", "igloo", "orange", "umbrella", "unidentified object", "unimportant sign", "hour", "honest face", "heirloom")),
        *((word, "an") for word in ("SUV", "X-ray image", "HDR photo", "MRI scan", "elderly person", "urn", "urban scene", "utter mess", "evening dress")),
        *((word, "a") for word in ("dog", "unicorn", "uniform", "university", "used car", "user", "ukulele", "utility pole", "European robin", "euphonium")),
        *((word, "a") for word in ("one-way street", "UFO", "house", "hospital", "T-shirt", "CD", "BMX bike", "ewe", "yacht", "Unesco site", "union flag")),
        ("éclair", "an"), ("", "a"), ("3D rendering", "a"),
    ],
)  # fmt: skip
def test_articles(phrase: str, wanted: str) -> None:
    assert article(phrase) == wanted


@pytest.mark.parametrize(
    ("phrase", "form"),
    [
        *((word, "count") for word in ("dog", "bus", "wine glass", "lens", "walrus", "cross", "person walking a dog", "glass of water", "sand dune", "bird's nest")),
        *((word, "mass") for word in ("snow", "long hair", "glass", "raw meat", "orange juice")),
        *((word, "plural") for word in ("mountains", "people", "Easter eggs", "children playing", "ripples on water", "scissors")),
        *((phrase, "whole") for phrase in ("a dog on a beach", "An owl", "the moon", "my cat")),
        ("", "count"),
    ],
)  # fmt: skip
def test_forms_are_guessed(phrase: str, form: str) -> None:
    assert form_of(phrase) == form


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("dog", "dogs"), ("bus", "buses"), ("church", "churches"), ("city", "cities"), ("boy", "boys"), ("fireman", "firemen"), ("schoolchild", "schoolchildren"),
        ("kitchen knife", "kitchen knives"), ("tomato", "tomatoes"), ("piano", "pianos"), ("chef", "chefs"), ("roof", "roofs"), ("sheep", "sheep"), ("human", "humans"),
        ("flock of birds", "flocks of birds"), ("person walking a dog", "people walking a dog"), ("mouse", "mice"), ("mongoose", "mongooses"), ("", ""),
    ],
)  # fmt: skip
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


class TestGrammar:
    @pytest.mark.parametrize(
        ("template", "phrase", "form", "prompt"),
        [
            ("a photo of a {}.", "owl", "count", "a photo of an owl."),
            ("a photo of a nice {}.", "owl", "count", "a photo of a nice owl."),
            ("a origami {}.", "dog", "count", "an origami dog."),
            ("an {} in a video game.", "dog", "count", "a dog in a video game."),
            ("a photo of many {}.", "cherry", "count", "a photo of many cherries."),
            ("a photo of one {}.", "snow", "mass", "a photo of snow."),
            ("a bad photo of a {}.", "snow", "mass", "a bad photo of snow."),
            ("a photo of a hard to see {}.", "shoes", "plural", "a photo of hard to see shoes."),
            ("a bad photo of the {}.", "shoes", "plural", "a bad photo of the shoes."),
            ("a {} in a video game.", "snow", "mass", "snow in a video game."),
            ("a plastic {}.", "shoes", "plural", "plastic shoes."),
            ("there is a {} in the picture", "shoes", "plural", "there are shoes in the picture"),
            ("a photo of a {}.", "a and {} of an", "count", "a photo of an a and {} of an."),
        ],
    )
    def test_prompts(self, template: str, phrase: str, form: Any, prompt: str) -> None:
        assert Ensemble("mine", (template,)).prompts(phrase, form) == (prompt,)

    def test_whole_phrases_stand_alone(self) -> None:
        for ensemble in ENSEMBLES.values():
            assert ensemble.prompts("a photo taken in the rain") == ("a photo taken in the rain",)

    @pytest.mark.parametrize("name", ENSEMBLES)
    def test_prompts_of_all_tags_are_english(self, name: str) -> None:
        """No doubled spaces or left-over braces; with grammar, no "a" before a vowel's sound nor "an" before another's."""
        ensemble = ENSEMBLES[name]
        for tag in list(load_vocabulary("photo"))[:: max(1, len(ensemble.templates) // 4)]:
            prompts = ensemble.prompts(*tag.asked)
            assert 1 <= len(prompts) <= len(ensemble.templates)
            for prompt in prompts:
                assert "{" not in prompt
                assert "  " not in prompt
                assert prompt == prompt.strip()
                if ensemble.grammar:
                    wrong = [
                        found[0] for found in re.finditer(r"\b(an?) (\S.*)", prompt, re.IGNORECASE) if article(found[2]) != found[1].lower()
                    ]
                    assert not wrong, prompt

    @given(st.text(max_size=20), st.sampled_from(["count", "mass", "plural"]), st.sampled_from([*CLIP_80, "there is a {} in the picture"]))
    def test_the_phrase_is_in_its_prompts(self, phrase: str, form: Any, template: str) -> None:
        (prompt,) = Ensemble("mine", (template,)).prompts(phrase, form)
        assert (plural(phrase) if "many" in template and form == "count" else phrase) in prompt


class TestChoosing:
    def encoder(self, name: str, **facts: Any) -> Any:
        return SimpleNamespace(recipe=SimpleNamespace(encoder=name), model=SimpleNamespace(**facts))

    @pytest.mark.parametrize(
        ("name", "facts", "family", "ensemble"),
        [
            ("builtin", {}, "builtin", "photo-3"),
            ("ViT-B-32", {"logit_bias": 0.0}, "clip", "clip-7"),
            ("ViT-B-16-SigLIP2", {}, "siglip", "siglip"),
            ("my-own", {"logit_bias": -12.9}, "siglip", "siglip"),
            ("copy", {"source": "builtin", "logit_bias": 0.0}, "builtin", "photo-3"),
        ],
    )
    def test_by_family(self, name: str, facts: dict[str, Any], family: str, ensemble: str) -> None:
        assert family_of(self.encoder(name, **facts)) == family
        assert load_ensemble("auto", self.encoder(name, **facts)) is ENSEMBLES[ensemble]

    def test_by_name(self) -> None:
        assert load_ensemble().name == "one"
        with pytest.raises(UnknownName, match=r"No ensemble of templates named 'clip-8'\. Did you mean 'clip-80'"):
            load_ensemble("clip-8")

    def test_names_are_keys_and_ids_differ(self) -> None:
        assert all(name == ensemble.name for name, ensemble in ENSEMBLES.items())
        assert len({ensemble.id for ensemble in ENSEMBLES.values()}) == len(ENSEMBLES)
        assert Ensemble("one", ("a photo of a {}",)).id == ENSEMBLES["one"].id
        assert Ensemble("one", ("a photo of a {}",), grammar=False).id != ENSEMBLES["one"].id

    @pytest.mark.parametrize("templates", [(), ("a photo",), ("{} and {}",)])
    def test_a_template_holds_the_tag_once(self, templates: tuple[str, ...]) -> None:
        with pytest.raises(InputError, match=r"templates|once"):
            Ensemble("mine", templates)


class TestVectors:
    class Letters:
        """Texts by how often each letter is in them."""

        recipe = SimpleNamespace(encoder="letters", dim=26)
        largest = 0

        def encode_texts(self, texts: Sequence[str]) -> Any:
            self.largest = max(self.largest, len(texts))
            rows = np.array([[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts], np.float32).reshape(-1, 26)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def test_each_is_the_mean_of_its_prompts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("search.templates._AT_ONCE", 5)
        encoder: Any = self.Letters()
        ensemble = load_ensemble("clip-7")
        phrases: Any = [("owl", "count"), ("snow", "mass"), ("a photo taken in the rain", "whole")]
        rows = encode_phrases(encoder, phrases, ensemble)
        for row, asked in zip(rows, phrases, strict=True):
            mean = encoder.encode_texts(ensemble.prompts(*asked)).mean(0)
            np.testing.assert_allclose(row, mean / np.linalg.norm(mean), rtol=1e-5)
        assert rows.dtype == np.float32
        assert encoder.largest == 7  # of our own call above; those of encode_phrases were 5 at most

    def test_of_nothing(self) -> None:
        encoder: Any = self.Letters()
        assert encode_phrases(encoder, [], load_ensemble()).shape == (0, 26)
