"""Whether query-bank normalisation finds more: recall at 10 of captioned photos, with and without it, against the bank of generic queries.

Run: `python benchmarks/hubness.py DIR... [--json]`; each folder holds photos and `captions.jsonl`. The dynamic inverted softmax (Bogolin et al., "Cross Modal Retrieval with Querybank
Normalisation", CVPR 2022, equations 5 and 6) lowers the similarity of a photo by the logarithm of its mean exp(β · similarity) over the bank, for queries whose nearest photo is a hub: one that is the
nearest of some query of the bank. Beside it the inverted softmax, for every query, at a share of its strength. `±` is the standard error of the difference.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from search import bank_vectors, load_encoder
from search.evaluate import encode_files, read_captions

BETAS = (5, 10, 20, 50)
SHARES = (0.25, 1.0)


def found(similarities: Any, owners: Any, k: int = 10) -> Any:
    """Whether each query's photo is among the k nearest."""
    return (np.argsort(-similarities, axis=1, kind="stable")[:, :k] == owners[:, None]).any(1).astype(float)


def measured(folder: Path, encoder: Any, bank: Any) -> dict[str, Any]:
    names, captions = read_captions(folder)
    photos = encode_files([folder / name for name in names], encoder)
    owners = np.array([at for at, row in enumerate(captions) for _ in row])
    similarities = encoder.encode_texts([text for row in captions for text in row]) @ photos.T
    of_bank = bank @ photos.T
    plain = found(similarities, owners)
    hub = np.isin(similarities.argmax(1), of_bank.argmax(1))
    rows = {}
    for beta in BETAS:
        normaliser = np.log(np.exp(beta * of_bank).mean(0)) / beta
        ways = {f"inverted softmax, {share:g} of it": similarities - share * normaliser for share in SHARES}
        ways["dynamic inverted softmax"] = np.where(hub[:, None], similarities - normaliser, similarities)
        for name, changed in ways.items():
            gain = found(changed, owners) - plain
            rows[f"{name}, β {beta}"] = {"gain": float(gain.mean()), "error": float(gain.std() / np.sqrt(len(gain)))}
    return {
        "photos": len(names),
        "queries": len(owners),
        "recall_at_10": float(plain.mean()),
        "nearest_is_a_hub": float(hub.mean()),
        "ways": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--encoder", default="builtin")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    bank = bank_vectors(encoder)
    facts = {str(folder): measured(folder, encoder, bank) for folder in options.folders}
    if options.json:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    for name, one in facts.items():
        print(
            f"{name}: {one['photos']} photos, {one['queries']} queries, recall at 10 {one['recall_at_10']:.3f}, nearest is a hub {one['nearest_is_a_hub']:.2f}"
        )
        for way, row in one["ways"].items():
            print(f"  {way:40} {row['gain']:+.3f} ± {row['error']:.3f}")


if __name__ == "__main__":
    main()
