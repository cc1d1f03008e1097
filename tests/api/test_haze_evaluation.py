"""`pellucid eval haze` and `eval haze-retrieval`, as people and programs call them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory, skimage_photos: Path) -> Path:
    """Three clear photos with captions, and the same in dense haze."""
    folder = tmp_path_factory.mktemp("weather")
    lines = []
    for name in ("astronaut", "chelsea", "coffee"):
        pixels = np.asarray(Image.open(skimage_photos / f"{name}.png").convert("RGB").resize((150, 100)))
        for kind, picture in (("clear", pixels), ("hazy", (pixels * 0.25 + 160).astype(np.uint8))):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(picture).save(folder / kind / f"{name}.png")
        lines.append(json.dumps({"image": f"{name}.png", "captions": ["an orange thing"]}))
    (folder / "clear" / "captions.jsonl").write_text("\n".join(lines))
    return folder


def test_eval_haze_prints_a_table_or_json(weather: Path, pellucid: Command) -> None:
    arguments = ("eval", "haze", "--hazy", weather / "hazy", "--clear", weather / "clear", "--other", weather / "*" / "c*.png")
    ran = pellucid(*arguments)
    assert ran.code == 0, ran.err
    assert "AUC over all: 1.000" in ran.out
    assert "dark-channel" in ran.out
    figures = json.loads(pellucid(*arguments, "--json").out)
    assert figures["auc"] == 1
    assert [(source["kind"], source["photos"], source["kept"]) for source in figures["sources"]] == [
        ("hazy", 3, 1.0), ("clear", 3, 0.0), ("other", 4, 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hazy", "nowhere", "--clear", "nowhere"), "no photos in or at"),
        (("--hazy", ".", "--clear", ".", "--method", "dark-chanel"), "Did you mean 'dark-channel'?"),
        (("--hazy", ".", "--clear", ".", "--method", "dark-channel", "--preset", "papers"), "Did you mean 'paper'?"),
        (("--hazy", ".", "--clear", ".", "--preset", "paper"), "needs a method: --method dark-channel --preset paper"),
    ],
)
def test_eval_haze_refuses_what_it_cannot_use(
    weather: Path, pellucid: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(weather)
    ran = pellucid("eval", "haze", *arguments)
    assert ran.code != 0
    assert message in ran.err


def test_eval_haze_retrieval_prints_tables_or_json(weather: Path, mean_colour_listed: str, pellucid: Command) -> None:
    arguments = ("eval", "haze-retrieval", weather / "clear", "--encoder", mean_colour_listed, "--strength", "0.3", "--strength", "0.2")
    ran = pellucid(*arguments)
    assert ran.code == 0, ran.err
    assert "3 photos, 3 captions, encoder 'mean-colour'" in ran.out
    assert "haze, t 0.2: clear half" in ran.out
    figures = json.loads(pellucid(*arguments, "--json").out)
    assert [row["mean_t"] for row in figures["conditions"]] == [1.0, 0.3, 0.2]
    assert [row["recall_at_10"]["raw"][0] for row in figures["conditions"]] == [1, 1, 1]  # of three photos, all are among the first ten


@pytest.mark.parametrize("strength", ["0", "1", "-0.5"])
def test_eval_haze_retrieval_refuses_impossible_strengths(weather: Path, mean_colour_listed: str, pellucid: Command, strength: str) -> None:
    ran = pellucid("eval", "haze-retrieval", weather / "clear", "--encoder", mean_colour_listed, f"--strength={strength}")
    assert ran.code != 0
    assert "between 0 and 1" in ran.err


def test_the_commands_are_listed(pellucid: Command) -> None:
    listed = pellucid("eval", "--help").out
    assert "haze-retrieval" in listed
    assert "hazy photos from clear ones" in listed
