"""Write docs/cli.md, docs/columns.md and docs/catalogue.md from the code: `python docs/make_cli.py`; with `--check`, fail when they are stale."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from typer.main import get_command

from api.cli import app
from api.settings import Settings
from search import ASKED_REGION_COLUMNS, IMAGE_COLUMNS, SCORE_COLUMNS, Column, catalogue_markdown

HERE = Path(__file__).parent


def command_line() -> str:
    """Every command with its arguments and options, from the parser itself."""
    parts = ["# Command line\n\nGenerated from `pellucid --help` by `make docs-write`.\n"]
    _describe(get_command(app), "pellucid", parts)
    return "\n".join(parts)


def _describe(command: object, name: str, parts: list[str]) -> None:
    context = typer.Context(command, info_name=name)  # type: ignore[arg-type]
    parts.append(f"## {name}\n\n{command.help or ''}\n\n```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n")
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name in ("install_completion", "show_completion"):
            continue
        record = parameter.get_help_record(context)
        if record:
            rows.append(f"| `{record[0]}` | {record[1].replace('|', '/')} |")
    if rows:
        parts.append("| option | meaning |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    for child in getattr(command, "commands", {}).values():
        _describe(child, f"{name} {child.name}", parts)


def column_table(columns: Sequence[Column], prefix: str = "") -> list[str]:
    """Lines of a table: name, kind and meaning."""
    head = ["| column | kind | meaning |", "| --- | --- | --- |"]
    return head + [f"| `{prefix}{column.name}` | {column.kind} | {column.meaning} |" for column in columns]


def columns() -> str:
    """The columns of `--where` and the settings."""
    lines = ["# Columns and settings\n", "Generated from the code by `make docs-write`.\n", "## Columns that `--where` reads\n"]
    lines += column_table(IMAGE_COLUMNS)
    lines += [
        "\n## Scores\n",
        'Columns of a photo too: `--where "quality > 0.6"`. Null where the photo was not scored; those that begin with `measured_` come with the index, the others with `pellucid score`.',
        "Axes of your own have no column: `score('warm') > 0.6`. How good a photo is technically and how beautiful are two axes, and neither stands for the other.\n",
    ]
    lines += column_table(SCORE_COLUMNS)
    lines += [
        "\n## Tags\n",
        "`tag('beach')` holds for photos that have the tag, whether `pellucid tag` wrote it or you confirmed it, and not for those whose tag you rejected; `not tag('beach')` for all",
        "others. Case, hyphens and underscores make no difference: `tag('black-and-white')` is `tag('Black and White')`. Both go with everything else:\n",
        "```text",
        "pellucid search \"a dog\" --where \"tag('beach') and quality > 0.6 and taken_at >= '2024-01-01'\"",
        "pellucid search \"a dog\" --where \"not tag('people') and count(region.label = 'dog') >= 2\"",
        "```",
    ]
    lines += [
        "\n## Columns of a region\n",
        "With `region.` before the name, in `--where` too: [how](searching.md#conditions-on-regions).\n",
    ]
    lines += column_table(ASKED_REGION_COLUMNS, "region.")
    lines += [
        "\n## Settings\n",
        "In `pellucid.toml`, or in capitals behind `PELLUCID_` in the environment.\n",
        "| setting | meaning |",
        "| --- | --- |",
    ]
    lines += [f"| `{name}` | {field.description} |" for name, field in Settings.model_fields.items()]
    return "\n".join(lines) + "\n"


CATALOGUE = """# Recommended models

Generated from `search/catalogue.py` by `make docs-write`. How to add one: [Models](models.md).

ImageNet zero-shot is the share of 50,000 photos that get their right name of 1,000. COCO recall at 1 is the share of captions whose own photo,
of 5,000, comes first: the nearer to what searching is. Each figure links to where it was published; "not found" means that we found none.
Sizes are those of both towers in fp32, on disk, counted from open_clip's definitions; the int8 image tower is a quarter of its part.
"Languages: many" means that the model was trained on texts of the whole web.

"""


def catalogue() -> str:
    """The recommended models with their published figures."""
    return CATALOGUE + catalogue_markdown()


def main() -> int:
    """Write the pages, or compare them."""
    stale = []
    for name, text in (("cli.md", command_line()), ("columns.md", columns()), ("catalogue.md", catalogue())):
        page = HERE / name
        if "--check" in sys.argv:
            stale += [] if page.is_file() and page.read_text(encoding="utf-8") == text else [name]
        else:
            page.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"docs/{' and docs/'.join(stale)} are stale: make docs-write\n")
    return len(stale)


if __name__ == "__main__":
    sys.exit(main())
