"""Exporters by name: a stream of photos with their regions, to a file or a folder that other tools read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from preprocess import choose

from .export_check import checked
from .export_files import whole_file, whole_folder
from .export_run import AnnotatedPhoto, Exported, Exporter, ExportOptions, Labels, Run, check_stem, xml_safe


def _coco() -> Exporter:
    from .export_coco import write_coco

    return Exporter("file", write_coco)


def _coco_rle() -> Exporter:
    from .export_coco import write_coco_rle

    return Exporter("file", write_coco_rle)


def _yolo() -> Exporter:
    from .export_yolo import write_yolo

    return Exporter("folder", write_yolo, check_stem)


def _yolo_segments() -> Exporter:
    from .export_yolo import write_yolo_segments

    return Exporter("folder", write_yolo_segments, check_stem)


def _voc() -> Exporter:
    from .export_voc import check_voc_name, write_voc

    return Exporter("folder", write_voc, check_voc_name)


def _label_studio() -> Exporter:
    from .export_label_studio import write_label_studio

    return Exporter("folder", write_label_studio)


def _cvat() -> Exporter:
    from .export_cvat import write_cvat

    return Exporter("file", write_cvat, lambda path, _run: xml_safe(path, "path"))


def _csv() -> Exporter:
    from .export_tables import write_csv

    return Exporter("file", write_csv)


def _jsonl() -> Exporter:
    from .export_tables import write_jsonl

    return Exporter("file", write_jsonl)


def _parquet() -> Exporter:
    from .export_tables import write_parquet

    return Exporter("file", write_parquet)


def _fiftyone() -> Exporter:
    from .export_fiftyone import write_fiftyone

    return Exporter("folder", write_fiftyone)


EXPORTERS: Mapping[str, Callable[[], Exporter]] = {
    "coco": _coco,
    "coco-rle": _coco_rle,
    "yolo": _yolo,
    "yolo-segments": _yolo_segments,
    "voc": _voc,
    "label-studio": _label_studio,
    "cvat": _cvat,
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "fiftyone": _fiftyone,
}
"""Exporters by name."""


FORMATS: Mapping[str, str] = {
    "coco": "COCO JSON: exact polygons where a mask is one, otherwise RLE; also what CVAT and Label Studio import",
    "coco-rle": "COCO JSON with every mask as RLE: smaller and quicker than polygons",
    "yolo": "YOLO's folder with boxes: labels/, images/, classes.txt, data.yaml",
    "yolo-segments": "YOLO's folder with polygons",
    "voc": "Pascal VOC's folder: XML with boxes, indexed PNGs with masks",
    "label-studio": "Label Studio's tasks with predictions, and a labelling configuration",
    "cvat": "CVAT for images 1.1: XML with boxes, polygons and masks",
    "csv": "a table with a row a region",
    "jsonl": "JSON lines, one a photo, with everything that is known",
    "parquet": "the table of csv, for pandas, DuckDB and Spark",
    "fiftyone": "a folder that FiftyOne loads as COCODetectionDataset",
}
"""What each format is, in a line."""


def load_exporter(name: str) -> Exporter:
    """The exporter called `name`.

    Raises:
        UnknownName: there is no such exporter.
    """
    return choose(EXPORTERS, name, "export format")()


def export_photos(name: str, photos: Iterable[AnnotatedPhoto], destination: Path, options: ExportOptions | None = None) -> Exported:
    """Write `photos` in the format called `name`, whole or not at all; one photo is in memory at a time.

    `destination` is a file or a folder, as the format has it. Boxes are clipped to their photo. A photo whose name the format cannot hold is left out, and
    told in the result.

    Raises:
        UnknownName: there is no such format.
        InputError: the destination exists (without `force`) or cannot be written, or the format cannot hold a label, a region or any photo's name.
        StorageFull: the disk took no more.
    """
    exporter = load_exporter(name)
    options = options or ExportOptions()
    run = Run(options, Labels(options.labels))
    place = whole_file if exporter.kind == "file" else whole_folder
    with place(destination, force=options.force) as fresh:
        exporter.write(checked(photos, run, exporter.check_name), fresh, run)
    return Exported(
        run.photos, run.regions, run.left_out, run.labels.names, dict(run.renamed), dict(run.photos_left_out), dict(run.relabelled)
    )
