"""Vocabularies: what ships, what a person writes, what is refused, and that what is written is read again."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import InputError, UnknownName
from search.phrases import FORMS, form_of
from search.vocabulary import MOST_LETTERS, MOST_TAGS, Group, Tag, Vocabulary, fault_of, tag_key
from search.vocabulary_file import (
    MOST_BYTES,
    VOCABULARIES,
    load_vocabulary,
    parse_vocabulary,
    vocabulary_text,
    vocabulary_yaml_text,
    write_vocabulary,
)

FOLDER = Path(__file__).parents[2] / "search" / "vocabularies"


def plain(text: str) -> Vocabulary:
    return parse_vocabulary(text, "mine", "mine.txt", as_yaml=False)


def as_yaml(text: str) -> Vocabulary:
    return parse_vocabulary(text, "mine", "mine.yaml", as_yaml=True)


class TestShipped:
    def test_the_table_is_what_is_there(self) -> None:
        assert {file.stem for file in FOLDER.glob("*.yaml")} == set(VOCABULARIES)

    @pytest.mark.parametrize("name", VOCABULARIES)
    def test_every_word_is_one_tag_and_every_parent_a_tag(self, name: str) -> None:
        words = load_vocabulary(name)
        assert words.name == name
        counts = Counter(tag_key(word) for tag in words for word in tag.words)
        assert [word for word, count in counts.items() if count > 1] == []
        assert [(tag.name, parent) for tag in words for parent in tag.parents if words.find(parent) is None] == []
        assert [tag.name for tag in words if tag.form == "whole" and not tag.phrase] == []

    def test_photo_has_some_1600_tags_in_groups_of_some_size(self) -> None:
        photo = load_vocabulary("photo")
        sizes = {group.name: len(photo.group(group.name)) for group in photo.groups}
        assert 1_500 <= len(photo) <= 1_700
        assert sum(sizes.values()) == len(photo)
        assert all(2 <= size <= 80 for size in sizes.values()), sizes
        assert {group.name for group in photo.groups if group.exclusive} == {
            "setting", "number of people", "time of day", "seasons", "shot size", "camera angle", "colour", "medium",
        }  # fmt: skip

    @pytest.mark.parametrize("name", [name for name in VOCABULARIES if name != "photo"])
    def test_the_others_are_groups_of_photo(self, name: str) -> None:
        photo, words = load_vocabulary("photo"), load_vocabulary(name)
        assert set(words.tags) < set(photo.tags)
        assert set(words.groups) < set(photo.groups)
        assert words.tags == tuple(tag for tag in photo if tag.group in {group.name for group in words.groups})
        assert all(words.ancestors(tag.name) == photo.ancestors(tag.name) for tag in words)

    def test_every_tag_is_in_one_of_the_others_too(self) -> None:
        held = {tag.name for name in VOCABULARIES if name != "photo" for tag in load_vocabulary(name)}
        assert {tag.name for tag in load_vocabulary("photo")} == held

    @pytest.mark.parametrize(
        ("word", "path"),
        [
            ("sofa", ("furniture", "sofa")),
            ("couch", ("furniture", "sofa")),
            ("corgi", ("pet", "dog", "corgi")),
            ("owl", ("animal", "bird", "bird of prey", "owl")),
            ("beach", ("outdoors", "nature", "beach")),
            ("SUNSET", ("sunset",)),
        ],
    )
    def test_paths(self, word: str, path: tuple[str, ...]) -> None:
        assert load_vocabulary("photo").path(word)[-len(path) :] == path

    def test_what_data_sets_of_photos_name_is_known(self) -> None:
        coco = (
            "person bicycle car motorcycle airplane bus train truck boat|traffic light|fire hydrant|stop sign|bench bird cat dog horse sheep cow elephant bear zebra"
            " giraffe backpack umbrella handbag tie suitcase frisbee skis snowboard kite|baseball bat|skateboard surfboard|tennis racket|bottle|wine glass|cup fork"
            " knife spoon bowl banana apple sandwich orange broccoli carrot|hot dog|pizza donut cake chair couch|potted plant|bed|dining table|toilet|laptop|"
            "computer mouse|remote control|keyboard|cell phone|microwave oven toaster sink refrigerator book clock vase scissors|teddy bear|hair dryer|toothbrush"
        )
        names = [word for part in coco.split("|") for word in ([part.strip()] if part.count(" ") == 1 else part.split())]
        photo = load_vocabulary("photo")
        missing = [name for name in names if photo.find(name) is None]
        assert len(missing) <= 2, missing


class TestLookingUp:
    words = Vocabulary(
        "mine",
        (Group("tags"), Group("light", exclusive=True)),
        (
            Tag("animal"),
            Tag("pet", parents=("animal",)),
            Tag("dog", synonyms=("canine",), parents=("pet", "mammal")),
            Tag("Black-and-white", "light", form="whole", phrase="a black and white photo"),
        ),
    )

    @pytest.mark.parametrize("word", ["black and white", " BLACK_AND  WHITE", "Black-And-White"])
    def test_case_and_spaces_make_no_difference(self, word: str) -> None:
        assert self.words.named(word).asked == ("a black and white photo", "whole")

    def test_a_misspelt_tag_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(UnknownName, match=r"No tag 'canin' in the vocabulary 'mine' of 4 tags\. Did you mean 'dog'\?"):
            self.words.named("canin")
        with pytest.raises(UnknownName, match=r"of 4 tags\.$"):
            self.words.named("submarine")

    def test_parents_of_parents_and_categories(self) -> None:
        assert self.words.ancestors("canine") == ("pet", "mammal", "animal")
        assert [tag.name for tag in self.words.under("mammal")] == ["dog"]
        assert [tag.name for tag in self.words.under("Animal")] == ["animal", "pet", "dog"]
        assert self.words.under("car") == ()

    def test_selecting_and_leaving_out(self) -> None:
        assert [tag.name for tag in self.words.selected(["LIGHT"])] == ["Black-and-white"]
        fewer = self.words.without(["black and white", "canine"])
        assert [tag.name for tag in fewer] == ["animal", "pet"]
        assert fewer.groups == (Group("tags"),)
        with pytest.raises(UnknownName, match="Did you mean 'light'"):
            self.words.selected(["lights"])

    def test_the_hash_is_of_what_is_in_it(self) -> None:
        same = Vocabulary("another name", self.words.groups, self.words.tags)
        assert same.hash == self.words.hash
        others = [
            Vocabulary("mine", (Group("tags", exclusive=True), Group("light", exclusive=True)), self.words.tags),
            *(Vocabulary("mine", self.words.groups, (*self.words.tags[:3], tag)) for tag in (
                Tag("Black-and-white", "light", form="whole", phrase="a grey photo"), Tag("Black-and-white", "light", phrase="a black and white photo"),
                Tag("black-and-white", "light", form="whole", phrase="a black and white photo"),
            )),
        ]  # fmt: skip
        assert len({self.words.hash, *(other.hash for other in others)}) == 5


class TestPlainText:
    def test_tags_synonyms_and_comments(self) -> None:
        words = plain("# mine\r\n\r\nDog: canine,  hound , canine\r\nC#-minor scale # music\n  snow\nmountains:\n")
        assert [(tag.name, tag.synonyms, tag.form) for tag in words] == [
            ("Dog", ("canine", "hound"), "count"), ("C#-minor scale", (), "count"), ("snow", (), "mass"), ("mountains", (), "plural"),
        ]  # fmt: skip
        assert words.groups == (Group("tags"),)

    def test_accents_are_composed(self) -> None:
        assert plain("cafe\u0301").find("CAFÉ") is not None
        assert plain("cafe\u0301").tags[0].name == "caf\u00e9"

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("", r"^mine\.txt: there are no tags"),
            ("# only\n", r"^mine\.txt: there are no tags"),
            ("dog\ncat\nDOG\n", r"^mine\.txt, line 3: 'DOG' is there already \(mine\.txt, line 1\)\. Leave one out"),
            ("dog: hound\ncat\nwolf: big dog, Hound", r"^mine\.txt, line 3: 'Hound' stands for 'dog' \(mine\.txt, line 1\) and for 'wolf'"),
            (
                "dog: " + ", ".join(f"dog {number}" for number in range(101)),
                r"^mine\.txt, line 1: 'dog' has more than 100 synonyms or parents",
            ),
            ("dog: hound, Hound", r"^mine\.txt, line 1: 'Hound' is there twice"),
            ("dog\n: hound", r"^mine\.txt, line 2: '' is no word"),
            ("dog\n--", r"^mine\.txt, line 2: '--' is no word"),
            ("dog: a: b", r"^mine\.txt, line 1: 'a: b' holds ':'"),
            ("dog|cat", r"holds '\|'"),
            ("dog\x00", r"holds '\\x00'"),
            ("dog\u2028cat", r"line 1: 'dog\\u2028cat' holds '\\u2028'"),
            ("d" * (MOST_LETTERS + 1), r"has 201 letters; the most are 200"),
            (
                "\n".join(f"tag {number}" for number in range(MOST_TAGS + 1)),
                r"^mine\.txt, line 10001: there are 10,001 tags; the most are 10,000",
            ),
        ],
    )
    def test_what_is_refused(self, text: str, fault: str) -> None:
        with pytest.raises(InputError, match=fault):
            plain(text)


class TestYaml:
    def test_groups_with_all_they_can_hold(self) -> None:
        words = as_yaml(
            """
name: at home
groups:
  light:
    exclusive: true
    form: whole
    phrase: a photo with {} light
    tags: [warm, cold]
  pets:
    parents: pet
    tags:
      pet:
      no: never, off          # not a truth value here
      Rex: {synonyms: [our dog, "a dog"], parents: [dog, pet], phrase: brown dog}
"""
        )
        assert words.name == "at home"
        assert words.groups == (Group("light", True), Group("pets"))
        assert words.tags == (
            Tag("warm", "light", phrase="a photo with warm light", form="whole"),
            Tag("cold", "light", phrase="a photo with cold light", form="whole"),
            Tag("pet", "pets"),
            Tag("no", "pets", ("never", "off"), ("pet",)),
            Tag("Rex", "pets", ("our dog", "a dog"), ("dog", "pet"), "brown dog"),
        )

    @pytest.mark.parametrize(
        "text", ["- dog\n- cat: kitty", "tags: [dog, {cat: kitty}]", "tags:\n  dog:\n  cat: [kitty]", "groups: {tags: [dog, cat: kitty]}"]
    )
    def test_without_groups(self, text: str) -> None:
        assert as_yaml(text).tags == (Tag("dog"), Tag("cat", synonyms=("kitty",)))

    def test_groups_of_one_that_ships(self) -> None:
        words = as_yaml(
            "from: photo\nselect: [seasons, weather]\nwithout: [fall, drought]\ngroups:\n  seasons: {tags: [rainy season]}\n  mine: [garden shed]"
        )
        assert [group.name for group in words.groups] == ["weather", "seasons", "mine"]
        assert [tag.name for tag in words.group("seasons")] == ["spring", "summer", "winter", "rainy season"]
        assert words.groups[1].exclusive
        assert words.find("drought") is None
        assert len(words) == len(load_vocabulary("photo").selected(["seasons", "weather"])) - 2 + 2

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("", r"^mine\.yaml: there are no tags"),
            ("tags: []", r"^mine\.yaml: there are no tags"),
            ("groups:\n  a: {tags: }", r"line 2: the group 'a' has no tags"),
            ("tags: [dog]\ncolor: red", r"line 2: a vocabulary has no field 'color'; there are name, from,"),
            ("tags: [dog]\ntags: [cat]", r"line 2: a vocabulary has the field 'tags' twice"),
            ("tags:\n  dog:\n  cat:\n  dog:", r"line 4: 'dog' is there already \(mine\.yaml, line 2\)"),
            ("tags:\n  dog: {parent: pet}", r"line 2: the tag 'dog' has no field 'parent'; there are synonyms, parents"),
            ("groups:\n  a:\n    exclusive: maybe\n    tags: [b]", r"line 3: exclusive is true or false, not 'maybe'"),
            ("tags: {dog: {form: many}}", r"line 1: no form 'many'; there are count, mass, plural, whole"),
            ("tags:\n  a: {parents: [b]}\n  b: {parents: [c]}\n  c: {parents: [a]}", r"line 2: 'a' is a kind of 'b' is a kind of 'c' is a kind of 'a'\. Leave"),
            ("tags:\n  a: {parents: [A]}", r"line 2: 'a' is a kind of 'a'\. Leave"),
            ("tags: [dog\n", r"^mine\.yaml, line 2: not YAML"),
            ("tags:\n\t- dog", r"^mine\.yaml, line 2: not YAML"),
            ("tags: [dog]\n---\ntags: [cat]", r"line 2: a second document"),
            ("just words", r"line 1: a vocabulary must be a mapping"),
            ("tags: {dog: {phrase: [a]}}", r"line 1: there must be a text here"),
            ("from: phto\n", r"line 1: No vocabulary named 'phto'\. Did you mean 'photo'\?"),
            ("from: photo\nselect: [wether]", r"line 2: No group of tags named 'wether'\. Did you mean 'weather'\?"),
            ("from: photo\nwithout: [beech tre]", r"line 2: No tag 'beech tre'"),
            ("select: [weather]\ntags: [dog]", r"line 1: 'select' needs 'from'"),
            ("from: photo\ntags:\n  dog:", r"line 3: 'dog' is there already \(photo\)"),
            ("tags: ['a\\0b', \"a\\0b\"]", r"holds '\\x00'"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, text: str, fault: str) -> None:
        with pytest.raises(InputError, match=fault):
            as_yaml(text)

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("a: &a [x]\ntags: *a", r"line 1: anchors"),
            ("tags: [*a]", r"line 1: anchors"),
            ("\n".join(["l0: &l0 [lol]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))]), r"line 1: anchors"),
            ("tags: !!python/object/apply:os.system ['true']", r"line 1: YAML's own tags"),
            ("tags: [!!binary aGk=]", r"line 1: YAML's own tags"),
            ("tags: [! dog]", r"line 1: YAML's own tags"),
            ("[" * 100_000, r"line 1: nested more than 8 levels"),
            ("{a: " * 50_000, r"line 1: nested more than 8 levels"),
            ("tags:\n  <<: {dog: x}", r"line 2: the tag '<<' has no field 'dog'"),
            ("? [a, b]\n: dog", r"line 1: there must be a text here"),
            ("tags: [\udc80]", r"not YAML|holds"),
        ],
        ids=["anchor", "alias", "bomb", "object", "binary", "bang", "lists", "mappings", "merge", "key", "surrogate"],
    )  # fmt: skip
    @pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
    def test_hostile_files_are_refused_at_once(self, text: str, fault: str, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """By libyaml, and by PyYAML alone where that was not built."""
        monkeypatch.setattr("search.vocabulary_yaml._LOADER", getattr(yaml, loader, yaml.SafeLoader))
        with pytest.raises(InputError, match=fault):
            as_yaml(text)


class TestFiles:
    def test_by_name_or_by_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for file in (Path("photo"), Path("mine"), Path("mine.YAML")):
            file.write_text("- dog" if file.suffix else "dog", encoding="utf-8-sig")
        assert len(load_vocabulary("photo")) > 1_000
        assert [load_vocabulary(name).tags for name in ("./photo", "mine", "mine.YAML")] == [(Tag("dog"),)] * 3
        assert load_vocabulary("mine.YAML").name == "mine"

    @pytest.mark.parametrize(("name", "fault"), [("scene", "Did you mean 'scenes'"), ("x" * 5_000, "No vocabulary named")])
    def test_an_unknown_name(self, name: str, fault: str) -> None:
        with pytest.raises(UnknownName, match=fault):
            load_vocabulary(name)

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"There is no file .*gone\.txt\. Name one, or a vocabulary: photo, scenes"):
            load_vocabulary(str(tmp_path / "gone.txt"))
        with pytest.raises(InputError, match=r"cannot be read as a vocabulary: Is a directory\. Name a text file"):
            load_vocabulary(str(tmp_path))
        for name in ("", "./gone"):
            with pytest.raises(
                InputError, match=rf"There is no file {re.escape(name or 'without a name')}\. Name one, or a vocabulary: photo"
            ):
                load_vocabulary(name)
        latin = tmp_path / "latin.txt"
        latin.write_bytes("dog\ncafé\n".encode("latin-1"))
        with pytest.raises(InputError, match=r"latin\.txt, line 2: not UTF-8"):
            load_vocabulary(str(latin))
        latin.write_text("dog", encoding="utf-16")
        with pytest.raises(InputError, match=r"line 1: not UTF-8"):
            load_vocabulary(str(latin))
        huge = tmp_path / "huge.txt"
        huge.write_bytes(b"#" * (MOST_BYTES + 1))
        with pytest.raises(InputError, match="more than 1,000,000 bytes"):
            load_vocabulary(str(huge))

    def test_an_endless_file_is_not_read_to_its_end(self) -> None:
        if not Path("/dev/zero").exists():
            pytest.skip("no /dev/zero here")
        with pytest.raises(InputError, match="more than 1,000,000 bytes"):
            load_vocabulary("/dev/zero")

    @pytest.mark.parametrize("name", VOCABULARIES)
    def test_what_ships_is_written_and_read_again(self, name: str, tmp_path: Path) -> None:
        words = load_vocabulary(name)
        write_vocabulary(words, tmp_path / "again.yaml")
        assert load_vocabulary(str(tmp_path / "again.yaml")) == words

    def test_plain_text_cannot_hold_groups(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"'sunny weather' has a group, parent, form or phrase\. Write a \.yaml"):
            write_vocabulary(load_vocabulary("weather"), tmp_path / "weather.txt")
        write_vocabulary(plain("dog: hound\nsnow"), tmp_path / "mine.txt")
        assert load_vocabulary(str(tmp_path / "mine.txt")) == plain("dog: hound\nsnow")
        with pytest.raises(InputError, match="cannot be written: No such file"):
            write_vocabulary(plain("dog"), tmp_path / "no" / "mine.txt")


WORD = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=",;|:{}<>#"), min_size=1, max_size=6).map(
    lambda text: " ".join(unicodedata.normalize("NFC", text).split())
)
NAME = WORD.filter(lambda word: fault_of(word) is None)


@st.composite
def vocabularies(draw: st.DrawFn, *, plain_text: bool = False) -> Vocabulary:
    """Any vocabulary; parents are tags that stand before, or categories."""
    words = draw(st.lists(NAME, min_size=1, max_size=8, unique_by=tag_key))
    groups = (
        [Group("tags")]
        if plain_text
        else draw(st.lists(st.builds(Group, NAME, st.booleans()), min_size=1, max_size=3, unique_by=lambda g: tag_key(g.name)))
    )
    tags: list[Tag] = []
    while words:
        name, *synonyms = (words.pop() for _ in range(min(len(words), draw(st.integers(1, 3)))))
        if plain_text:
            tags.append(Tag(name, synonyms=tuple(synonyms), form=form_of(name)))
            continue
        parents = draw(st.lists(st.sampled_from([tag.name for tag in tags] + ["category ÿ"]), unique=True, max_size=3))
        phrase = draw(st.one_of(st.just(""), WORD.filter(lambda word: fault_of(word, "{}") is None)))
        group, form = draw(st.sampled_from(groups)).name, draw(st.sampled_from(FORMS))
        tags.append(Tag(name, group, tuple(synonyms), tuple(parents), "" if phrase == name else phrase, form))
    used = {tag.group for tag in tags}
    return Vocabulary("mine", tuple(group for group in groups if group.name in used), tuple(tags))


@settings(max_examples=60, deadline=None)
@given(vocabularies())
def test_yaml_gives_back_what_was_written(words: Vocabulary) -> None:
    again = as_yaml(vocabulary_yaml_text(words))
    assert again == words
    assert again.hash == words.hash


@settings(max_examples=60, deadline=None)
@given(vocabularies(plain_text=True))
def test_plain_text_gives_back_what_was_written(words: Vocabulary) -> None:
    again = plain(vocabulary_text(words))
    assert again == words
    assert again.hash == words.hash


@settings(max_examples=100, deadline=None)
@given(st.text(), st.booleans())
def test_any_text_is_a_vocabulary_or_a_clear_error(text: str, in_yaml: bool) -> None:
    fault, size = "", 0
    try:
        size = len(as_yaml(text) if in_yaml else plain(text))
    except InputError as error:
        fault = str(error)
    assert size > 0 or fault.startswith("mine.")


@given(NAME)
def test_a_key_is_its_own_key(word: str) -> None:
    assert tag_key(tag_key(word)) == tag_key(word)
    assert tag_key(unicodedata.normalize("NFD", word)) == tag_key(word)
