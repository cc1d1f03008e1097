"""Runs builds in forked children, so that 20 of them pay for the imports once. Reads `LIBRARY ROOT ENCODER` lines; answers with the child's number
and, after one more line, with its exit code."""

from __future__ import annotations

import os
import runpy
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import faiss  # noqa: F401
import lancedb  # noqa: F401
import pyarrow.compute  # noqa: F401

import indexer
import search
from preprocess import load_rule, read_image
from search._lance import Tables

builder = sys.modules[indexer.build.__module__]
warnings.simplefilter("ignore")  # LanceDB warns of forks; a child that hangs is killed all the same


def slow(method: Any) -> Any:
    """The same, 10 ms later: most of the build then lies between two of its writes, where a kill must do no harm."""

    def later(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.01)
        return method(*arguments, **options)

    return later


def main() -> None:
    photo = sys.argv[1]
    made = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))
    make_encoder, maker = made["MeanColour"], made["Halves"]()
    builder.load_region_maker = lambda _name, _models: maker  # type: ignore[attr-defined]
    encoder = make_encoder()
    pixels = read_image(photo).pixels
    encoder.encode_images([encoder.prepare(pixels)])  # everything lazy is loaded
    load_rule("dark-channel").judge(pixels)
    for name in ("append", "upsert", "delete", "compact"):
        setattr(Tables, name, slow(getattr(Tables, name)))
    builder.COMMIT_PHOTOS = 4  # type: ignore[attr-defined]
    options = indexer.BuildOptions(dehaze="dark-channel", regions="halves")  # each photo has two vectors then, and two regions
    print("ready", flush=True)
    for line in sys.stdin:
        folder, root, name = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                indexer.build(search.Library(Path(folder), create=True), [Path(root)], make_encoder(name), options)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        sys.stdin.readline()  # until then the number is not given to another process
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


main()
