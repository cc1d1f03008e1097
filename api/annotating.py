"""`pellucid annotate`: the regions of photos by a segmenter, listed or painted on copies; and what it shares with `pellucid segment`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preprocess import ImageError, InputError, PellucidError, StorageFull

from .options import JsonOption, MegapixelsOption

if TYPE_CHECKING:
    from annotate import Annotation, LabelSet, RegionMaker
    from preprocess import Limits

    from .settings import Settings

_MOST_JOBS = 4  # a photo of 12 megapixels in work takes about 0.1 GB
_MOST_BYTES = 255  # of a file's name, on all common disks

PhotosArgument = Annotated[list[Path], typer.Argument(metavar="PATH", help="Photos, and folders of photos with all below them.")]
DrawOption = Annotated[
    Path | None,
    typer.Option(
        "--draw",
        metavar="OUT",
        help="Draw the regions on a copy: a .jpg or .png, or a folder for several, with their subfolders; what is in it already is skipped. "
        "The copy of a large photo is smaller: 1080 to 2160 pixels on the short side.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Draw anew what is drawn already. Originals are never written to.")]


@dataclass
class Annotating:
    """One run: the regions of each photo, in order, and what failed. With `outs`, a copy of each is drawn there; without `force`, a photo whose copy is there
    already is `skipped`, with that copy."""

    maker: RegionMaker
    limits: Limits
    colours: LabelSet
    force: bool = False
    jobs: int = 0
    failed: dict[str, PellucidError] = field(default_factory=dict)
    skipped: dict[Path, Path | None] = field(default_factory=dict)
    done: int = 0
    interrupted: bool = False

    def run(
        self, photos: Sequence[Path], outs: Sequence[Path | None], on_found: Callable[[Path, Path | None, Annotation], None],
        on_progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        """Annotate them all. A photo that fails is recorded and the rest goes on; an interrupt ends the run with whole files.

        Raises:
            StorageFull: the disk took no more.
        """
        from concurrent.futures import ThreadPoolExecutor

        from indexer.stages import map_ahead

        threads = self.jobs or min(os.cpu_count() or 1, _MOST_JOBS)
        pool = ThreadPoolExecutor(threads, thread_name_prefix="annotate")
        try:
            tasks = list(zip(photos, outs, strict=True))
            for done, (photo, out, found) in enumerate(map_ahead(self._one, tasks, pool, threads), 1):
                if isinstance(found, (StorageFull, InputError)) or (isinstance(found, PellucidError) and not isinstance(found, ImageError)):
                    raise found  # of the segmenter or the place of the copies, and so the same for the next photo
                if isinstance(found, ImageError):
                    self.failed[str(photo)] = found
                elif found is None:
                    self.skipped[photo] = out
                else:
                    on_found(photo, out, found)
                self.done = done
                on_progress(done, len(tasks))
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, task: tuple[Path, Path | None]) -> tuple[Path, Path | None, Annotation | PellucidError | None]:
        """The photo's regions, or what is wrong with it; none where its copy is there already."""
        from .drawing import draw_copy, read_working

        photo, out = task
        if self._is_drawn(out):
            return photo, out, None
        if out is not None and len(os.fsencode(out.name)) > _MOST_BYTES:
            return (
                photo,
                out,
                ImageError(
                    f"{photo} cannot be drawn: the name of its copy, {out.name}, would have more than {_MOST_BYTES} bytes. Shorten it."
                ),
            )
        try:
            pixels, size_wh = read_working(photo, self.limits, self.maker.short, drawn=out is not None)
            annotation = self.maker(pixels, size_wh)
            if out is not None:
                draw_copy(pixels, annotation, out, force=self.force, labels=self.colours)
        except PellucidError as error:
            if isinstance(error, InputError) and self._is_drawn(out):
                return photo, out, None  # by another run meanwhile
            return photo, out, error
        except Exception as error:  # one strange photo must never end a run over a folder
            return photo, out, ImageError(f"{photo} could not be annotated: {type(error).__name__}: {error}")
        return photo, out, annotation

    def _is_drawn(self, out: Path | None) -> bool:
        return out is not None and not self.force and os.path.lexists(out)


def annotate(
    paths: PhotosArgument,
    segmenter: Annotated[
        str,
        typer.Option(
            "--segmenter", metavar="NAME", help="What finds regions: builtin, proposals, an added segmenter, or several joined by +."
        ),
    ] = "builtin",
    draw: DrawOption = None,
    force: ForceOption = False,
    jobs: Annotated[int | None, typer.Option("--jobs", help="Photos in work at once.", show_default="one a core, at most 4")] = None,
    max_megapixels: MegapixelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the regions of photos: label, box, mask, colour and depth of each. Nothing is written to a library."""
    from annotate import RegionMakerOptions, load_region_maker

    from .settings import load_settings

    settings = load_settings(jobs=jobs, max_megapixels=max_megapixels)

    def maker(_on_share: Callable[[float], None]) -> RegionMaker:
        found = load_region_maker(segmenter, RegionMakerOptions(settings.models.expanduser()))
        if found is None:
            raise InputError(f"{segmenter!r} finds no regions. Name what does, such as --segmenter builtin.")
        return found

    run_annotating(paths, maker, settings, draw=draw, force=force, jobs=settings.jobs, as_json=as_json)


def run_annotating(
    paths: Sequence[Path], make: Callable[[Callable[[float], None]], RegionMaker], settings: Settings, *, draw: Path | None, force: bool,
    jobs: int, as_json: bool,
) -> None:  # fmt: skip
    """Find the photos, then make what finds regions, and let it; then say what was found and what failed. `make` is given a function that a maker that is
    slow may tell which share of a photo is done.

    Raises:
        PellucidError: the one photo that was named cannot be annotated, or no photo can.
    """
    from indexer import WalkOptions

    from .draw_plan import DRAWN, photos_of, targets
    from .drawing import annotation_dict
    from .output import count_bar, print_json, quiet_decoders
    from .wiring import limits_of

    found, failed = photos_of(paths, WalkOptions((*settings.exclude, DRAWN), settings.include_hidden))
    outs = targets(found, draw, force=force)
    photos = [photo.file for photo in found]
    rows: list[dict[str, Any]] = []

    def keep(photo: Path, out: Path | None, annotation: Annotation) -> None:
        if as_json:
            rows.append(annotation_dict(photo, annotation) | {"drawn": None if out is None else str(out)})
        else:
            _show(photo, out, annotation, few=len(photos) <= _few())

    with quiet_decoders(), count_bar("annotating", not as_json) as move:
        maker = make(lambda share: move(work.done + share, len(photos)))
        work = Annotating(maker, limits_of(settings), _colours(maker.labels), force, jobs, failed)
        work.run(photos, outs, keep, move)
    if len(photos) == len(work.failed) == len(paths) == 1 and not paths[0].is_dir():
        raise next(iter(work.failed.values()))
    if as_json:
        told = {name: str(error) for name, error in work.failed.items()}
        skipped = [{"file": str(photo), "drawn": str(out)} for photo, out in work.skipped.items()]
        print_json({"segmenter": maker.id, "labels": list(maker.labels), "photos": rows, "skipped": skipped, "failed": told})
    else:
        _summary(work, photos, drawn=draw is not None)
    if work.interrupted:
        raise typer.Exit(130)


def _colours(names: Sequence[str]) -> LabelSet:
    """A colour for each label, as different as can be; two spellings of one label have one."""
    from annotate import LabelSet

    labels = LabelSet(())
    for name in names:
        if labels.find(name) is None:
            labels = labels.extended([name])
    return labels


def _few() -> int:
    from .output import SHOWN_FAILURES

    return SHOWN_FAILURES


def _show(photo: Path, out: Path | None, annotation: Annotation, *, few: bool) -> None:
    """A table of the photo's regions; where there are many photos, a line: `beach.jpg: 2 person, 1 sky`."""
    from .drawing import regions_table
    from .output import console, plain

    if few:
        regions_table(photo, annotation)
    else:
        counts = Counter(region.label for region in annotation.regions)
        console().print(plain(f"{photo}: {', '.join(f'{count} {label}' for label, count in counts.most_common()) or 'no regions'}"))
    if out is not None and few:
        console().print(plain(f"Drawn: {out}"))


def _summary(work: Annotating, photos: Sequence[Path], *, drawn: bool) -> None:
    """What was done before, and what could not be done, last."""
    from .output import console, plain

    out, shown = console(), _few()
    if not photos and not work.failed:
        out.print("There is no photo in these folders.")
    if work.skipped:
        out.print(f"{len(work.skipped):,} drawn before, skipped; --force draws them anew")
    if work.failed:
        out.print(f"{len(work.failed):,} {'file' if len(work.failed) == 1 else 'files'} could not be annotated:")
        for error in list(work.failed.values())[:shown]:
            out.print(plain(f"  {error}"))
        if len(work.failed) > shown:
            out.print(f"  ... and {len(work.failed) - shown:,} more: --json names them all")
    if work.interrupted:
        out.print("Interrupted. What was drawn is whole; run the same command to go on." if drawn else "Interrupted.")


__all__ = ["Annotating", "DrawOption", "ForceOption", "PhotosArgument", "annotate", "run_annotating"]
