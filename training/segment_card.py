"""Fill in the tables of the segmenter's card: `python segment_card.py --run RUN --other OTHER --card ../annotate/builtin/MODEL_CARD.md`.

RUN is the folder of the network that ships, after segment_export.py; OTHER that of the one it is compared with. The figures are the last rows of their
curves, which are of the running averages in float32, and for what ships those of segment_export.py. Text between the markers is replaced.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

NAMES = {"deeplabv3plus": "DeepLabV3+", "pspnet": "PSPNet"}


def last_row(run: Path) -> dict:
    return json.loads((run / "curve.jsonl").read_text().splitlines()[-1])


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def table(kind: str, rows: dict[str, list[float | None]], heads: list[str]) -> list[str]:
    return [
        f"| {kind} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|",
        *(f"| {name} | {' | '.join(map(percent, values))} |" for name, values in rows.items()),
    ]  # fmt: skip


def tables(run: Path, other: Path) -> str:
    """Class-level and category-level intersection over union, side by side."""
    ours, theirs, shipped = last_row(run), last_row(other), json.loads((run / "exported.json").read_text())
    kept = shipped["int8"] if shipped["kept"] == "int8" else shipped["float16 weights"]
    heads = ["DeepLabV3+, as it ships", "DeepLabV3+, float32", "PSPNet, float32"]
    as_called = {**kept["classes"], "person": kept["classes"].get("pedestrian")}  # the masks' own word
    classes = {name: [as_called.get(name), ours["classes"][name], theirs["classes"][name]] for name in ours["classes"]}
    categories = {name: [kept["categories"].get(name), ours["categories"][name], theirs["categories"][name]] for name in ours["categories"]}
    lines = table("class", classes | {"**mean**": [kept["miou"], ours["miou"], theirs["miou"]]}, heads)
    lines += [
        "",
        *table("category", categories | {"**mean**": [kept["category_miou"], ours["category miou"], theirs["category miou"]]}, heads),
    ]
    held_out = {
        "accuracy of pixels, CamVid": [kept["pixel_accuracy"], ours["accuracy"], theirs["accuracy"]],
        "person against the rest, photos of people": [None, ours["person, human"], theirs["person, human"]],
        "pet against the rest, photos of pets": [None, ours["pet, pets"], theirs["pet, pets"]],
    }
    lines += ["", *table("", held_out, heads), ""]
    lines.append(f"Steps: {ours['step']:,} and {theirs['step']:,}. Elapsed hours on one core: {hours(run):.1f} and {hours(other):.1f}.")
    return "\n".join(lines)


def hours(run: Path) -> float:
    """Of the training, measurements included."""
    import torch

    return float(torch.load(run / "checkpoint.pt", weights_only=True)["seconds"]) / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    options = parser.parse_args()
    begin, end = "<!-- figures -->", "<!-- end of figures -->"
    before, _, rest = options.card.read_text().partition(begin)
    _, _, after = rest.partition(end)
    options.card.write_text(f"{before}{begin}\n\n{tables(options.run, options.other)}\n\n{end}{after}")


if __name__ == "__main__":
    main()
