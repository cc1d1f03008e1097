"""What `pellucid tag` and `pellucid tags` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .exporting import many
from .library_tags import library_words
from .output import SHOWN_FAILURES, console, plain

if TYPE_CHECKING:
    from search import StoredTag, TagRun

    from .library_tags import Doubt

_SHOWN_TAGS = 20
_FEW = 200
"""Photos below which a tag's mean and deviation over the library say little."""


def run_dict(run: TagRun) -> dict[str, Any]:
    """For JSON."""
    return {
        "run": run.id, "at": run.at, "state": run.state, "photos": run.photos, "tags": run.tags, "encoder": run.encoder, "recipe": run.recipe,
        "vocabulary": run.vocabulary, "vocabulary_hash": run.vocabulary_hash, "templates": run.templates, "settings": dict(run.settings),
        "stricter_than": run.stricter_than,
    }  # fmt: skip


def runs_table(runs: Sequence[TagRun]) -> None:
    """A line for each run, the latest last."""
    if not runs:
        console(stderr=True).print("The library was not tagged yet: pellucid tag")
        return
    rows = [
        (run.id, run.state, f"{run.photos:,}", f"{run.tags:,}", run.encoder, run.vocabulary, run.templates, settings_words(run.settings))
        for run in runs
    ]
    print_table(("run", "state", "photos", "tags", "encoder", "vocabulary", "templates", "settings"), rows, right=(2, 3))


def settings_words(settings: Mapping[str, Any]) -> str:
    """`precision 0.5, most 20`, and the condition where there was one."""
    words = [f"{name} {settings[name]:g}" for name in ("precision", "most") if name in settings]
    if settings.get("where"):
        words.append(f"where {settings['where']}")
    return ", ".join(words)


def photo_table(file: str, tags: Sequence[StoredTag], rejected: Sequence[str]) -> None:
    """The tags of one photo, the surest first."""
    out = console()
    out.print(plain(f"{file}: {many(len(tags), 'tag')}"))
    if tags:
        rows = [
            (
                tag.tag, "a person" if tag.human else f"{tag.precision:.2f}", "" if tag.z is None else f"{tag.z:+.1f}",
                "" if tag.region is None else f"region {tag.region}", tag.run or "",
            )
            for tag in tags
        ]  # fmt: skip
        print_table(("tag", "precision", "z", "by", "run"), rows, right=(2,))
    if rejected:
        out.print(plain(f"Rejected: {', '.join(rejected)}"))


def review_table(found: Sequence[Doubt], total: int, tag: str | None = None) -> None:
    """The most uncertain tags, or photos with this one, and how to answer."""
    out = console()
    if not found:
        named = "" if tag is None else f" {tag!r}"
        out.print(
            plain(f"There is no tag{named} by a machine that nobody has confirmed or rejected. Machines write them with: pellucid tag")
        )
        return
    print_table(("precision", "tag", "photo"), [(f"{each.tag.precision:.2f}", each.tag.tag, each.file) for each in found], right=(0,))
    out.print(
        f"{len(found):,} of {many(total, 'tag')} that nobody has judged yet. Answer: pellucid tags confirm PATH TAG, or tags reject PATH TAG"
    )


def diff_lines(earlier: TagRun, later: TagRun, added: Mapping[str, Sequence[str]], removed: Mapping[str, Sequence[str]]) -> None:
    """Which tags came and went, by tag and by photo."""
    out = console()
    came, went = (Counter(tag for tags in rows.values() for tag in tags) for rows in (added, removed))
    out.print(plain(f"From {earlier.id} to {later.id}: {came.total():,} added, {went.total():,} removed."))
    if earlier.layer != later.layer:
        out.print("They are by different vocabularies or encoders, so neither replaces the other: the tags of both count.")
    for sign, counts in (("+", came), ("-", went)):
        if counts:
            out.print(plain(f"{sign} {most_words(counts)}"))
    files = sorted({*added, *removed})
    for file in files[:SHOWN_FAILURES]:
        words = [*(f"+{tag}" for tag in added.get(file, ())), *(f"-{tag}" for tag in removed.get(file, ()))]
        out.print(plain(f"  {file}: {', '.join(words)}"))
    if len(files) > SHOWN_FAILURES:
        out.print(f"  ... and {many(len(files) - SHOWN_FAILURES, 'more photo')}: --json names them all")


def most_words(counts: Counter[str]) -> str:
    """`dog 12, beach 7, ...`: the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{tag} {count:,}" for tag, count in ranked[:_SHOWN_TAGS]) + (", ..." if len(ranked) > _SHOWN_TAGS else "")


def said_lines(outcome: Mapping[str, Any]) -> None:
    """What was noted of a photo's tags."""
    out = console()
    done = {"confirmed": "Confirmed", "rejected": "Rejected", None: "Taken back what was said of"}[outcome["said"]]
    out.print(plain(f"{done}: {', '.join(outcome['tags'])}. {outcome['file']} has now: {', '.join(outcome['now']) or 'no tags'}."))
    if outcome["not_in_vocabularies"]:
        names = ", ".join(outcome["not_in_vocabularies"])
        out.print(plain(f"No vocabulary of this library has {names}: taken as written. If it was misspelt, take it back with --undo."))


def changed_lines(outcome: Mapping[str, Any]) -> None:
    """What became of a run."""
    out = console()
    if outcome["was"] == "promoted":
        out.print(plain(f"The tags of {outcome['run']} were people's own already."))
        return
    if outcome["did"] == "retract":
        out.print(plain(f"Took back {outcome['run']}: {many(outcome['tags'], 'tag')}. Tags that it had replaced count again."))
    else:
        out.print(plain(f"{many(outcome['tags'], 'tag')} of {outcome['run']} {'is' if outcome['tags'] == 1 else 'are'} people's own now."))


def tagged_lines(outcome: Mapping[str, Any], library: Path | None = None) -> None:
    """What a run of tagging did, or would do."""
    out = console()
    photos, tags = outcome["photos"], outcome["tags"]
    if not photos and not outcome["interrupted"]:
        out.print(_no_photos(outcome))
        return
    verb = "Would write" if outcome["dry_run"] else "Wrote"
    out.print(plain(
        f"{verb} {many(tags, 'tag')} of {many(len(outcome['by_tag']), 'word')} for {many(photos, 'photo')}, {outcome['without']:,} of them without any; "
        f"about {outcome['expected_precision']:.0%} of the tags should be right."
        if tags
        else f"{verb} no tags for {many(photos, 'photo')}. Try a lower --precision."
    ))  # fmt: skip
    if tags and photos < _FEW:
        out.print(
            f"Fewer than {_FEW} photos are little to compare with: fewer tags than that may be right. A higher --precision keeps the surest."
        )
    if outcome["resumed"]:
        out.print(f"{outcome['resumed']:,} of these photos were looked at before the interrupt.")
    if tags:
        out.print(plain(most_words(Counter(outcome["by_tag"]))))
    if outcome["missing"]:
        out.print(_without_vector(outcome))
    for example in outcome["examples"]:
        words = ", ".join(f"{tag['tag']} {tag['precision']:.2f}" for tag in example["tags"]) or "no tags"
        out.print(plain(f"  {example['file']}: {words}"))
    if outcome["interrupted"]:
        out.print("Interrupted: nothing counts yet. Run the same command to go on.")
    elif not outcome["dry_run"]:
        out.print(f"Run {outcome['run']}. To take it back: pellucid tags retract {outcome['run']}{library_words(library)}")


def _no_photos(outcome: Mapping[str, Any]) -> str:
    """Why there was nothing to tag, and what to do."""
    if outcome["missing"]:
        return _without_vector(outcome)
    if outcome["where"]:
        return plain(f"No photo with a vector meets {outcome['where']!r}: nothing was tagged.")
    return "The library has no photos. Index a folder first: pellucid index FOLDER"


def _without_vector(outcome: Mapping[str, Any]) -> str:
    return plain(
        f"{many(outcome['missing'], 'photo')} without a vector by {outcome['encoder']!r} got no tags. Make them: {outcome['index']}"
    )


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table for people; what photos and files say cannot steer the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(head):
        table.add_column(name, justify="right" if at in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console().print(table)
