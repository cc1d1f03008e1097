"""Vectors and rows to hits, tags and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess import lazy_names

if TYPE_CHECKING:
    from .add import add_dense, add_model
    from .bench import Bench, Speed, bench_model
    from .catalogue import CATALOGUE, Recommended, catalogue_markdown
    from .dense import Cells, CropEncoder, CropOptions, DenseEncoder, load_dense
    from .derived import Derived, Spread, make_derived, open_derived
    from .encode import ENCODERS, PLAIN, Encoder, EncoderOptions, Prepared, Recipe, Vectors, load_encoder, model_folders, normalize
    from .evaluate import evaluate_retrieval, evaluate_zeroshot
    from .failures import Failure
    from .filter import matching_vectors, row_statement
    from .haze_retrieval import STRENGTHS, evaluate_haze_retrieval
    from .hits import Answer, Hit, RegionHit, answer, check_recipe, search
    from .library import Library, LibraryFile
    from .loading import Consent, Runtime
    from .model import ImageInput, Model, TextInput, remedy
    from .nearest import INDEXES, NearestIndex
    from .open_vocabulary import OpenVocabulary, VocabularyOptions, labels_of
    from .precision import Decision, choose_precision, nearest_others
    from .query import WITHIN, Query, Term, combine
    from .recipes import Coverage, coverage, coverages, encoder_gone, encoder_of, index_command, made_by, recipes_of, use_command
    from .region_store import Annotated, RegionStore
    from .schema import ASKED_REGION_COLUMNS, FACT_COLUMNS, IMAGE_COLUMNS, REGION_COLUMNS, SCHEMA_VERSION, Column
    from .sources import Source, Terms, parse_source
    from .store import Key, Store, image_row
    from .verify import find_faults

_HOMES = {
    "add": ("add_dense", "add_model"),
    "loading": ("Consent", "Runtime"),
    "bench": ("Bench", "Speed", "bench_model"),
    "catalogue": ("CATALOGUE", "Recommended", "catalogue_markdown"),
    "dense": ("Cells", "CropEncoder", "CropOptions", "DenseEncoder", "load_dense"),
    "derived": ("Derived", "Spread", "make_derived", "open_derived"),
    "encode": (
        "ENCODERS",
        "PLAIN",
        "Encoder",
        "EncoderOptions",
        "Prepared",
        "Recipe",
        "Vectors",
        "load_encoder",
        "model_folders",
        "normalize",
    ),
    "evaluate": ("evaluate_retrieval", "evaluate_zeroshot"),
    "failures": ("Failure",),
    "filter": ("matching_vectors", "row_statement"),
    "haze_retrieval": ("STRENGTHS", "evaluate_haze_retrieval"),
    "library": ("Library", "LibraryFile"),
    "model": ("ImageInput", "Model", "TextInput", "remedy"),
    "nearest": ("INDEXES", "NearestIndex"),
    "open_vocabulary": ("OpenVocabulary", "VocabularyOptions", "labels_of"),
    "precision": ("Decision", "choose_precision", "nearest_others"),
    "query": ("WITHIN", "Query", "Term", "combine"),
    "recipes": ("Coverage", "coverage", "coverages", "encoder_gone", "encoder_of", "index_command", "made_by", "recipes_of", "use_command"),
    "region_store": ("Annotated", "RegionStore"),
    "schema": ("ASKED_REGION_COLUMNS", "FACT_COLUMNS", "IMAGE_COLUMNS", "REGION_COLUMNS", "SCHEMA_VERSION", "Column"),
    "hits": ("Answer", "Hit", "RegionHit", "answer", "check_recipe", "search"),
    "sources": ("Source", "Terms", "parse_source"),
    "store": ("Key", "Store", "image_row"),
    "verify": ("find_faults",),
}
__all__ = [
    "ASKED_REGION_COLUMNS", "CATALOGUE", "ENCODERS", "FACT_COLUMNS", "IMAGE_COLUMNS", "INDEXES", "PLAIN", "REGION_COLUMNS", "SCHEMA_VERSION", "STRENGTHS",
    "WITHIN", "Annotated", "Answer", "Bench", "Cells", "Column", "Consent", "Coverage", "CropEncoder", "CropOptions", "Decision",
    "DenseEncoder", "Derived", "Encoder", "EncoderOptions", "Failure", "Hit", "ImageInput", "Key", "Library", "LibraryFile",
    "Model", "NearestIndex", "OpenVocabulary", "Prepared", "Query", "Recipe", "Recommended", "RegionHit", "RegionStore",
    "Runtime", "Source", "Speed", "Spread", "Store", "Term", "Terms", "TextInput", "Vectors", "VocabularyOptions", "add_dense",
    "add_model", "answer", "bench_model", "catalogue_markdown", "check_recipe", "choose_precision", "combine", "coverage",
    "coverages", "encoder_gone", "encoder_of", "evaluate_haze_retrieval", "evaluate_retrieval", "evaluate_zeroshot",
    "find_faults", "image_row", "index_command", "labels_of", "load_dense", "load_encoder", "made_by", "make_derived",
    "matching_vectors", "model_folders", "nearest_others", "normalize", "open_derived", "parse_source", "recipes_of", "remedy",
    "row_statement", "search", "use_command",
]  # fmt: skip


__getattr__ = lazy_names(__name__, _HOMES)
