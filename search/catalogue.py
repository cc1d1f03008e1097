"""Recommended encoders, with published figures. Every figure names where it was published; none means that none was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_OPEN_CLIP = "https://github.com/mlfoundations/open_clip/blob/main/docs/openclip_results.csv"
_OPEN_CLIP_RETRIEVAL = "https://github.com/mlfoundations/open_clip/blob/main/docs/openclip_retrieval_results.csv"
_SIGLIP2 = "https://github.com/google-research/big_vision/blob/main/big_vision/configs/proj/image_text/README_siglip2.md"
_PE = "https://github.com/facebookresearch/perception_models/blob/main/README.md"
_MOBILECLIP2 = "https://github.com/apple/ml-mobileclip/blob/main/results/mobileclip2_{}.jsonl"
_OPENAI = "https://github.com/openai/CLIP/blob/main/LICENSE"


@dataclass(frozen=True, slots=True)
class Recommended:
    """One recommended encoder.

    `imagenet` is zero-shot top-1 and `coco` text-to-image recall at 1 (5,000 photos), both in percent. `parameters` are millions in both
    towers, counted from open_clip's own definition; in fp32 the files take four times as many megabytes.
    """

    source: str  # what `pellucid models add` takes
    arch: str
    dim: int
    side: int
    parameters: float
    languages: str
    licence: str
    licence_source: str
    for_whom: str
    imagenet: float | None = None
    imagenet_source: str = ""
    coco: float | None = None
    coco_source: str = ""
    research_only: bool = False
    ready: str = ""  # the same weights as ready ONNX files, which need no torch

    @property
    def tag(self) -> str:
        """What open_clip calls the weights."""
        return self.source.rpartition("/")[2]

    @property
    def megabytes(self) -> float:
        """Size of the fp32 files on disk."""
        return self.parameters * 4

    def as_dict(self) -> dict[str, Any]:
        """The fields and the size as plain values, for JSON."""
        return asdict(self) | {"megabytes": self.megabytes}


def _open_clip_figures(imagenet: float, coco: float) -> dict[str, Any]:
    return {"imagenet": imagenet, "imagenet_source": _OPEN_CLIP, "coco": coco, "coco_source": _OPEN_CLIP_RETRIEVAL}


def _both(imagenet: float, coco: float, source: str) -> dict[str, Any]:
    return {"imagenet": imagenet, "imagenet_source": source, "coco": coco, "coco_source": source}


def _card(repository: str) -> str:
    return f"https://huggingface.co/{repository}"


CATALOGUE: Sequence[Recommended] = (
    Recommended(
        "open_clip:ViT-B-32-256/datacomp_s34b_b86k", "ViT-B-32-256", 512, 256, 151.3, "English", "MIT",
        _card("laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K"), "the default for English: quick on a CPU, and free to use",
        **_open_clip_figures(72.81, 39.93),
    ),
    Recommended(
        "open_clip:ViT-B-32-SigLIP2-256/webli", "ViT-B-32-SigLIP2-256", 768, 256, 376.9, "many", "Apache-2.0",
        _card("google/siglip2-base-patch32-256"), "queries in other languages, on a CPU", **_both(74.0, 47.2, _SIGLIP2),
        ready="hub:immich-app/ViT-B-32-SigLIP2-256__webli",
    ),
    Recommended(
        "open_clip:ViT-B-16-SigLIP2/webli", "ViT-B-16-SigLIP2", 768, 224, 375.2, "many", "Apache-2.0",
        _card("google/siglip2-base-patch16-224"), "better hits in any language, at about three times the work a photo",
        **_both(78.2, 52.1, _SIGLIP2), ready="hub:immich-app/ViT-B-16-SigLIP2__webli",
    ),
    Recommended(
        "open_clip:ViT-B-16-SigLIP2-256/webli", "ViT-B-16-SigLIP2-256", 768, 256, 375.2, "many", "Apache-2.0",
        _card("google/siglip2-base-patch16-256"), "as before, with a little more detail", **_both(79.1, 53.2, _SIGLIP2),
    ),
    Recommended(
        "open_clip:PE-Core-T-16-384/meta", "PE-Core-T-16-384", 512, 384, 69.5, "English", "Apache-2.0", _card("facebook/PE-Core-T16-384"),
        "the smallest download", **_both(62.1, 33.0, _PE),
    ),
    Recommended(
        "open_clip:PE-Core-S-16-384/meta", "PE-Core-S-16-384", 512, 384, 87.2, "English", "Apache-2.0", _card("facebook/PE-Core-S16-384"),
        "small files, good hits", **_both(72.7, 42.6, _PE),
    ),
    Recommended(
        "open_clip:PE-Core-B-16/meta", "PE-Core-B-16", 1024, 224, 447.7, "English", "Apache-2.0", _card("facebook/PE-Core-B16-224"),
        "strong in English, where a GPU or time is at hand", **_both(78.4, 50.9, _PE),
    ),
    Recommended(
        "open_clip:PE-Core-L-14-336/meta", "PE-Core-L-14-336", 1024, 336, 671.1, "English", "Apache-2.0", _card("facebook/PE-Core-L14-336"),
        "the best hits that are free to use; wants a GPU", **_both(83.5, 57.1, _PE),
    ),
    Recommended(
        "open_clip:ViT-L-14-quickgelu/openai", "ViT-L-14-quickgelu", 768, 224, 427.6, "English", "MIT", _OPENAI,
        "comparison with the many results that used it", **_open_clip_figures(75.54, 36.51), ready="hub:immich-app/ViT-L-14__openai",
    ),
    Recommended(
        "open_clip:ViT-L-14-336-quickgelu/openai", "ViT-L-14-336-quickgelu", 768, 336, 427.9, "English", "MIT", _OPENAI,
        "as before, with more detail", **_open_clip_figures(76.56, 37.09), ready="hub:immich-app/ViT-L-14-336__openai",
    ),
    Recommended(
        "open_clip:MobileCLIP2-S0/dfndr2b", "MobileCLIP2-S0", 512, 256, 74.8, "English", "apple-amlr", _card("timm/MobileCLIP2-S0-OpenCLIP"),
        "research: small and quick", **_both(71.53, 43.68, _MOBILECLIP2.format("s0")), research_only=True,
    ),
    Recommended(
        "open_clip:MobileCLIP2-S2/dfndr2b", "MobileCLIP2-S2", 512, 256, 99.2, "English", "apple-amlr", _card("timm/MobileCLIP2-S2-OpenCLIP"),
        "research: quick, and better", **_both(77.24, 48.82, _MOBILECLIP2.format("s2")), research_only=True,
    ),
    Recommended(
        "open_clip:ViT-B-16-quickgelu/dfn2b", "ViT-B-16-quickgelu", 512, 224, 149.6, "English", "apple-amlr", _card("apple/DFN2B-CLIP-ViT-B-16"),
        "research: carefully filtered data, base size", **_open_clip_figures(76.24, 43.39), research_only=True,
    ),
    Recommended(
        "open_clip:ViT-L-14-quickgelu/dfn2b", "ViT-L-14-quickgelu", 768, 224, 427.6, "English", "apple-amlr", _card("apple/DFN2B-CLIP-ViT-L-14"),
        "research: as before, large size", **_open_clip_figures(81.41, 48.56), research_only=True,
        ready="hub:immich-app/ViT-L-14-quickgelu__dfn2b",
    ),
    Recommended(
        "open_clip:ViT-H-14-quickgelu/dfn5b", "ViT-H-14-quickgelu", 1024, 224, 986.1, "English", "apple-amlr", _card("apple/DFN5B-CLIP-ViT-H-14"),
        "research: the largest here; wants a GPU", **_open_clip_figures(83.44, 53.91), research_only=True,
        ready="hub:immich-app/ViT-H-14-quickgelu__dfn5b",
    ),
)  # fmt: skip


def recommended(source: str) -> Recommended | None:
    """The row whose source, or ready ONNX files, this is; none when it is not in the catalogue."""
    return next((row for row in CATALOGUE if source in (row.source, row.ready)), None)


def catalogue_markdown() -> str:
    """The catalogue as a table for the documentation, with the source of each figure behind it."""
    lines = [
        "| `pellucid models add` | ImageNet zero-shot | COCO recall at 1 | fp32 files | dim | side | languages | licence | for whom |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- | --- |",
    ]
    for row in CATALOGUE:
        licence = f"[{row.licence}]({row.licence_source})" + (", research only" if row.research_only else "")
        cells = [
            f"`{row.source}`" + (f"<br>or, without torch, `{row.ready}`" if row.ready else ""),
            _figure(row.imagenet, row.imagenet_source),
            _figure(row.coco, row.coco_source),
            f"{row.megabytes:,.0f} MB",
            str(row.dim),
            str(row.side),
            row.languages,
            licence,
            row.for_whom,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figure(value: float | None, source: str) -> str:
    return "not found" if value is None else f"[{value:.1f}%]({source})"
