"""A service that answers as the real one does, over as many photos as one likes that repeat a few; for the page's tests with 100,000 photos and for work on it.

python tests/browser/synthetic.py --photos 100000 --port 8000
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import socket
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from PIL import Image

from api.service import page_routes
from api.service import schemas_images as images
from api.service.schemas_jobs import JobGiven, JobsGiven, Progress
from api.service.schemas_search import HitGiven, LayoutGiven, PhotoGiven, PhotosGiven, RegionHitGiven, SearchGiven

FIRST = datetime(2006, 1, 3, 9, 30)
CAMERAS = ("Canon EOS 5D", "Google Pixel 8", "Nikon D750", "Sony RX100")
TAGS = ("beach", "cat", "city", "flower", "night", "people", "portrait", "water")


@lru_cache(1)
def pictures() -> list[tuple[str, Image.Image]]:
    """Photos that scikit-image and scikit-learn carry; gradients where they are not installed."""
    found: list[tuple[str, Image.Image]] = []
    try:
        import skimage.data
        import sklearn.datasets

        folders = [Path(skimage.data.__file__).parent, Path(sklearn.datasets.__file__).parent / "images"]
        names = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "china.jpg", "flower.jpg", "moon.png",
                 "camera.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "horse.png", "clock_motion.png"]  # fmt: skip
        for name in names:
            for folder in folders:
                if (folder / name).is_file():
                    with Image.open(folder / name) as opened:
                        found.append((name, opened.convert("RGB")))
    except ImportError:
        pass
    for at in range(len(found), 6):
        ramp = np.linspace(0, 255, 640 * 420 * 3).reshape(420, 640, 3)
        found.append((f"ramp{at}.png", Image.fromarray(np.roll(ramp, at * 90, axis=1).astype(np.uint8))))
    return found


@lru_cache(1024)
def encoded(which: int, side: int) -> bytes:
    """A JPEG of one of the pictures whose long side has so many pixels."""
    picture = pictures()[which].copy() if isinstance(pictures()[which], Image.Image) else pictures()[which][1].copy()
    picture.thumbnail((side, side))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=82)
    return written.getvalue()


class Synthetic:
    """So many photos, the newest first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.said: dict[tuple[str, str], str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.runs = {"run-1": "written", "run-2": "written"}

    def digest(self, at: int) -> str:
        return f"{at:08x}" + hashlib.sha256(str(at).encode()).hexdigest()[:56]

    def at(self, digest: str) -> int:
        return int(digest[:8], 16)

    def which(self, at: int) -> int:
        return (at * 7 + at // 11) % len(pictures())

    def taken(self, at: int) -> datetime:
        return FIRST + timedelta(hours=(self.count - at) * 160_000 / max(self.count, 1))

    def photo(self, at: int) -> dict[str, Any]:
        name, picture = pictures()[self.which(at)]
        taken = self.taken(at)
        return {
            "digest": self.digest(at), "root": "/photos", "path": f"{taken:%Y/%m}/{Path(name).stem} {at}.jpg",
            "width": picture.width * 4, "height": picture.height * 4, "taken_at": taken.isoformat(timespec="seconds"),
            "facts": {"camera": CAMERAS[at % 4], "iso": 100 * (1 + at % 8), "f_number": 2.8, "exposure_s": 0.008, "focal_length_mm": 35.0,
                      "haze": (at % 10) / 10, "byte_size": 2_400_000 + at, "format": "jpeg",
                      **({"latitude": 48 + (at % 70) / 10, "longitude": -4 + (at % 190) / 10} if at % 3 == 0 else {})},
        }  # fmt: skip

    def hit(self, at: int, rank: int) -> dict[str, Any]:
        photo = self.photo(at)
        probability = max(0.02, 0.93 - rank * 0.011)
        box = (photo["width"] * 0.25, photo["height"] * 0.2, photo["width"] * 0.75, photo["height"] * 0.9)
        region = RegionHitGiven(label="thing", box_xyxy=box, similarity=0.3, z=4.0, confidence=0.8, area=0.35, number=0)
        return {
            **photo, "similarity": 0.34 - rank * 0.001, "z": 5 - rank * 0.02, "probability": probability,
            "verdict": "strong" if probability > 0.55 else "weak" if probability > 0.25 else "none", "enhancer": "none",
            "matched": "region" if at % 3 == 0 else "image", "region": region if at % 3 == 0 else None, "also": [],
        }  # fmt: skip


def application(count: int) -> FastAPI:
    """The service."""
    app, made = FastAPI(), Synthetic(count)

    @app.get("/v1/stats")
    def stats() -> images.StatsGiven:
        return images.StatsGiven(
            photos=count, roots={"/photos": count}, failures=2 if count else 0, encoder="builtin", regions="proposals", dehaze="auto", tag_runs=2,
            version="0.1.0", scopes=["read", "tag", "admin"], fetches_urls=False, upload_bytes=64_000_000, allowed_roots=["/photos", "/mnt/card"],
        )  # fmt: skip

    @app.get("/v1/session")
    def session() -> dict[str, Any]:
        return {"name": "local", "scope": "admin", "key_needed": False}

    @app.get("/v1/layout")
    def layout() -> Response:
        return Response(shapes(), media_type="application/json")

    @cache
    def shapes() -> str:
        aspects = [round(100 * picture.width / picture.height) for _, picture in pictures()]
        return LayoutGiven(total=count, state="1", aspects=[aspects[made.which(at)] for at in range(count)]).model_dump_json()

    @app.get("/v1/images")
    def listed(start: int = 0, limit: int = 100) -> PhotosGiven:
        return PhotosGiven(total=count, state="1", photos=[PhotoGiven(**made.photo(at)) for at in range(start, min(start + limit, count))])

    @app.post("/v1/search")
    async def search(request: Request) -> Response:
        if request.headers["content-type"].startswith("multipart"):
            asked: dict[str, Any] = {"terms": [{"upload": "picture"}]}
        else:
            asked = await request.json()
        words = " ".join(str(term.get("text", "")) for term in asked["terms"])
        if "error" in words:
            detail = "There is no column 'hazy'. Did you mean 'haze'?"
            return JSONResponse(
                {"type": "/problems/filter-error", "title": "Filter error", "status": 400, "detail": detail, "instance": "r1"}, 400
            )
        nothing = "penguin" in words
        start, limit = int(asked.get("cursor") or 0), asked.get("limit", 50)
        total = 0 if nothing else min(count, 300)
        hits = [] if nothing else [HitGiven(**made.hit((at * 37) % count, at)) for at in range(start, min(start + limit, total))]
        answer = SearchGiven(
            total=total, next=str(start + limit) if start + limit < total else None, verdict="none" if nothing else "strong",
            probability=0.08 if nothing else 0.93, why="nothing is nearer than photos are to words at random (best 0.21, usual 0.23)" if nothing else "the best is far above what is usual",
            encoder="builtin", **{"in": "both"}, hits=hits, nearest_miss=HitGiven(**made.hit(5, 88)) if nothing else None,
            note="12 of 100 photos have no vector yet, so they cannot be found." if "note" in words else None,
        )  # fmt: skip
        return Response(answer.model_dump_json(by_alias=True), media_type="application/json")

    @app.get("/v1/images/{digest}")
    def image(digest: str) -> images.ImageGiven:
        at = made.at(digest)
        photo = made.photo(at)
        width, height = photo["width"], photo["height"]
        tags = [
            images.TagGiven(tag=tag, precision=1 if made.said.get((digest, tag)) else 0.9 - 0.12 * rank, human=made.said.get((digest, tag)) == "confirmed",
                            run=None if made.said.get((digest, tag)) else "run-2", z=3.1, similarity=0.27)
            for rank, tag in enumerate([*TAGS[at % 4 : at % 4 + 4], *(tag for (other, tag), verdict in made.said.items() if other == digest and verdict == "confirmed" and tag not in TAGS)])
            if made.said.get((digest, tag)) != "rejected"
        ]  # fmt: skip
        boxes = [("thing", 0.25, 0.2, 0.75, 0.9), ("sky", 0.0, 0.0, 1.0, 0.3), ("small thing", 0.6, 0.6, 0.8, 0.8)]
        regions = [
            images.RegionGiven(number=number, label=label, box_xyxy=(a * width, b * height, c * width, d * height), confidence=0.9 - number / 10,
                               area=(c - a) * (d - b), maker="proposals", human=False,
                               polygons=[[a * width, b * height, c * width, b * height, (a + c) / 2 * width, d * height]] if number == 2 else [])
            for number, (label, a, b, c, d) in enumerate(boxes)
        ]  # fmt: skip
        return images.ImageGiven(
            **photo, places=[images.PlaceGiven(root="/photos", path=photo["path"], there=True), images.PlaceGiven(root="/backup", path="old/copy.jpg", there=False)],
            tags=tags, rejected=[tag for (other, tag), verdict in made.said.items() if other == digest and verdict == "rejected"],
            scores={"quality": 0.71, "sharpness": 0.83, "aesthetic": 0.44, "rating": 0.58, "measured_sharpness": 0.66, "measured_exposure": 0.9, "measured_colourfulness": 41.0},
            score_note="Aesthetics agree weakly with people.", regions=regions, dehazed="dark-channel" if at % 2 == 0 else None,
            neighbours=[HitGiven(**made.hit((at + 13 * near) % count, near)) for near in range(1, 13)],
        )  # fmt: skip

    @app.get("/v1/images/{digest}/{what}")
    def picture(digest: str, what: str, size: int = 320, enhancer: str = "none") -> Response:
        which = made.which(made.at(digest))
        side = size if what == "thumbnail" else 2048
        data = encoded(which, side)
        if enhancer == "dehazed":
            with Image.open(io.BytesIO(data)) as opened:
                brighter = Image.eval(opened, lambda value: max(0, min(255, int((value - 128) * 1.4 + 128))))
            written = io.BytesIO()
            brighter.save(written, "JPEG")
            data = written.getvalue()
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @app.put("/v1/images/{digest}/tags/{tag}")
    def said(digest: str, tag: str, verdict: images.TagSaid) -> images.ImageGiven:
        made.said[digest, tag] = verdict.verdict
        return image(digest)

    @app.delete("/v1/images/{digest}/tags/{tag}")
    def unsaid(digest: str, tag: str) -> images.ImageGiven:
        made.said.pop((digest, tag), None)
        return image(digest)

    @app.get("/v1/facets")
    def facets() -> Response:
        return Response(counted(), media_type="application/json")

    @cache
    def counted() -> str:
        return facets_of().model_dump_json()

    def facets_of() -> images.FacetsGiven:
        years: dict[str, int] = {}
        for at in range(count):
            year = str(made.taken(at).year)
            years[year] = years.get(year, 0) + 1
        counts = [images.Count(value=tag, photos=count // (3 + rank)) for rank, tag in enumerate(TAGS)]
        return images.FacetsGiven(
            photos=count, taken=(made.taken(count).isoformat(), made.taken(0).isoformat()) if count else None,
            cameras=[images.Count(value=name, photos=count // 4) for name in CAMERAS], years=[images.Count(value=year, photos=many) for year, many in years.items()],
            formats=[images.Count(value="jpeg", photos=count)], tags=counts, regions=[images.Count(value=name, photos=count // 5) for name in ("dog", "person", "sky")],
            haze=[count // 10] * 10, quality=[count // 20 * (1 + at % 3) for at in range(10)], scored=["quality", "sharpness", "aesthetic"], located=count // 3,
        )  # fmt: skip

    @app.get("/v1/map")
    def located() -> images.MapGiven:
        points = [
            images.PointGiven(digest=made.digest(at), latitude=48 + (at % 70) / 10, longitude=-4 + (at % 190) / 10)
            for at in range(0, count, 3)
        ]
        return images.MapGiven(total=len(points), points=points[:5_000])

    @app.get("/v1/duplicates")
    def duplicates() -> images.DuplicatesGiven:
        def frame(at: int, likeness: str) -> images.FrameGiven:
            return images.FrameGiven(**made.photo(at), likeness=likeness, byte_size=2_400_000)

        groups = [
            images.DuplicateGroupGiven(kind="near", reason="the most pixels", spare_bytes=4_800_000, frames=[frame(at, "best"), frame(at + 1, "the same bytes"), frame(at + 2, "3 bits apart")])
            for at in range(0, min(count - 3, 60), 3)
        ]  # fmt: skip
        return images.DuplicatesGiven(
            total=len(groups), spare_bytes=96_000_000, groups=groups, notes=["Bursts are not looked for where photos have no time."]
        )

    @app.get("/v1/tags/review")
    def review(limit: int = 50) -> images.ReviewGiven:
        open_ = [(at, tag) for at in range(min(count, 60)) for tag in TAGS[at % 4 : at % 4 + 1] if (made.digest(at), tag) not in made.said]
        tags = [
            images.DoubtGiven(digest=made.digest(at), tag=tag, precision=0.5, human=False, run="run-2", z=2.2, similarity=0.24)
            for at, tag in open_[:limit]
        ]
        return images.ReviewGiven(open=len(open_), tags=tags)

    @app.get("/v1/tags")
    def tags() -> images.TagsGiven:
        return images.TagsGiven(total=len(TAGS), tags=[images.TagCount(tag=tag, photos=10) for tag in TAGS])

    @app.get("/v1/tag-runs")
    def runs() -> images.RunsGiven:
        return images.RunsGiven(runs=[run(name) for name in made.runs])

    @app.get("/v1/tag-runs/{run}")
    def run(run: str) -> images.RunGiven:
        return images.RunGiven(run=run, at="2026-11-20T10:00:00+00:00", state=made.runs[run], encoder="builtin", vocabulary="photo", templates="plain-1",
                               recipe="1e4aee4f05d7", vocabulary_hash="1dbbc4af6b69", photos=count, tags=count * 4, settings={"precision": 0.5, "most": 20})  # fmt: skip

    @app.get("/v1/tag-runs/{earlier}/diff/{later}")
    def diff(earlier: str, later: str) -> images.RunDiffGiven:
        return images.RunDiffGiven(
            earlier=earlier, later=later, added={made.digest(1): ["beach", "cat"]}, removed={made.digest(2): ["city"]}
        )

    @app.post("/v1/tag-runs/{run}:{what}")
    def changed(run: str, what: str) -> images.RunChanged:
        made.runs[run] = "retracted" if what == "retract" else "promoted"
        return images.RunChanged(run=run, was="written", did=what, tags=count * 4)  # type: ignore[arg-type]

    @app.get("/v1/jobs")
    def jobs() -> JobsGiven:
        return JobsGiven(total=len(made.jobs), jobs=[JobGiven(**job) for job in reversed(made.jobs.values())])

    @app.post("/v1/jobs", status_code=202)
    async def start(request: Request) -> JobGiven:
        asked = await request.json()
        name = f"job-{len(made.jobs) + 1}"
        made.jobs[name] = {"id": name, "kind": asked["kind"], "options": asked.get("options", {}), "state": "running", "created_at": "2026-11-21T10:00:00+00:00",
                           "started_at": "2026-11-21T10:00:00+00:00", "attempts": 1, "progress": Progress(stage="encoding", done=0, total=200, eta_s=20)}  # fmt: skip
        return JobGiven(**made.jobs[name])

    @app.get("/v1/jobs/{name}")
    def job(name: str) -> JobGiven:
        return JobGiven(**made.jobs[name])

    @app.delete("/v1/jobs/{name}")
    def cancel(name: str) -> JobGiven:
        made.jobs[name] |= {"state": "cancelled"}
        return JobGiven(**made.jobs[name])

    @app.get("/v1/jobs/{name}/events")
    async def events(name: str) -> StreamingResponse:
        async def told() -> AsyncIterator[str]:
            state = made.jobs[name]
            while state["state"] == "running":
                done = state["progress"].done + 20
                state["progress"] = Progress(stage="encoding", done=done, total=200, eta_s=(200 - done) / 80)
                yield f"event: progress\ndata: {state['progress'].model_dump_json()}\n\n"
                await asyncio.sleep(0.2)
                if done >= 200:
                    state |= {"state": "finished", "ended_at": "2026-11-21T10:00:20+00:00", "outcome": {"photos": 200, "failed": 1}}
            yield f"event: state\ndata: {JobGiven(**state).model_dump_json()}\n\n"

        return StreamingResponse(told(), media_type="text/event-stream")

    app.include_router(page_routes.router)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=2_000)
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", given.port))
    print(f"at http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    uvicorn.Server(uvicorn.Config(application(given.photos), log_level="warning", timeout_graceful_shutdown=1)).run([listening])
