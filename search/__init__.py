"""Vectors and rows to hits, tags and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess import lazy_names

if TYPE_CHECKING:
    from .add import add_dense, add_iqa, add_model
    from .bench import Bench, Speed, bench_model
    from .catalogue import CATALOGUE, Recommended, catalogue_markdown
    from .dense import Cells, CropEncoder, CropOptions, DenseEncoder, load_dense
    from .derived import Derived, Spread, open_derived
    from .derived_files import make_derived
    from .duplicate_groups import KINDS, DuplicateGroup, Frame, Likeness, spare_files
    from .duplicates import DuplicateOptions, Duplicates, find_duplicates
    from .encode import ENCODERS, PLAIN, Encoder, EncoderOptions, Prepared, Recipe, Vectors, load_encoder, model_folders, normalize
    from .evaluate import evaluate_retrieval, evaluate_zeroshot
    from .failures import Failure
    from .filter import matching_vectors, row_statement
    from .haze_retrieval import STRENGTHS, evaluate_haze_retrieval
    from .hit import Answer, Hit, RegionHit
    from .hits import answer, check_recipe, search
    from .iqa import IQA, LOGIT_SCALE, LOOK, PAIRS, TECHNICAL, Axes, Pair, choose_pairs, load_axes, parse_pairs, read_pairs, scale_of
    from .library import Library, LibraryFile
    from .library_vectors import LibraryVectors, PhotoRegions
    from .loading import Consent, Runtime
    from .marks_cache import Marks, make_marks, marks_of
    from .model import ImageInput, Model, TextInput, remedy
    from .nearest import INDEXES, NearestIndex
    from .open_vocabulary import OpenVocabulary, VocabularyOptions, labels_of
    from .phrases import FORMS, Form, form_of
    from .precision import Decision, choose_precision, nearest_others
    from .quality_evaluation import Agreement, agreement, evaluate_quality, read_ratings
    from .query import WITHIN, Query, Term, combine, parse_terms
    from .query_bank import bank_queries, bank_vectors
    from .rating import Rater, load_rater
    from .recipes import Coverage, coverage, coverages, encoder_gone, encoder_of, index_command, made_by, recipes_of, use_command
    from .region_store import Annotated, RegionStore
    from .schema import ASKED_REGION_COLUMNS, FACT_COLUMNS, IMAGE_COLUMNS, REGION_COLUMNS, SCHEMA_VERSION, SCORE_COLUMNS, Column
    from .score_store import ScoreStore
    from .scorers import RATING, PixelScorer, iqa_folder, iqa_scorer, rating_scorer
    from .scoring import Scored, score_photos, score_vectors
    from .sources import Source, Terms, parse_source
    from .store import Key, Store, image_row
    from .tag_calibration import TagCalibration, uncertain
    from .tag_evaluation import TagEvaluationOptions, evaluate_tags
    from .tag_run import TagReport, TagRequest, run_tagging
    from .tag_runs import RunDiff, StoredTag, TagRows, TagRun, ids_called, new_run_id
    from .tag_store import TagStore
    from .tagger import FoundTag, Tagger, TagOptions, load_tagger
    from .templates import ENSEMBLES, Ensemble, encode_phrases, family_of, load_ensemble
    from .verdict import STRICTNESS, Verdict
    from .verdict_evaluation import evaluate_verdicts
    from .verify import find_faults
    from .vocabulary import Group, Tag, Vocabulary, fault_of, tag_key
    from .vocabulary_file import VOCABULARIES, load_vocabulary, read_vocabulary, write_vocabulary

_HOMES = {
    "add": ("add_dense", "add_iqa", "add_model"),
    "iqa": (
        "IQA",
        "LOGIT_SCALE",
        "LOOK",
        "PAIRS",
        "TECHNICAL",
        "Axes",
        "Pair",
        "choose_pairs",
        "load_axes",
        "parse_pairs",
        "read_pairs",
        "scale_of",
    ),
    "loading": ("Consent", "Runtime"),
    "bench": ("Bench", "Speed", "bench_model"),
    "catalogue": ("CATALOGUE", "Recommended", "catalogue_markdown"),
    "dense": ("Cells", "CropEncoder", "CropOptions", "DenseEncoder", "load_dense"),
    "derived": ("Derived", "Spread", "open_derived"),
    "derived_files": ("make_derived",),
    "duplicate_groups": ("KINDS", "DuplicateGroup", "Frame", "Likeness", "spare_files"),
    "duplicates": ("DuplicateOptions", "Duplicates", "find_duplicates"),
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
    "marks_cache": ("Marks", "make_marks", "marks_of"),
    "model": ("ImageInput", "Model", "TextInput", "remedy"),
    "nearest": ("INDEXES", "NearestIndex"),
    "open_vocabulary": ("OpenVocabulary", "VocabularyOptions", "labels_of"),
    "phrases": ("FORMS", "Form", "form_of"),
    "precision": ("Decision", "choose_precision", "nearest_others"),
    "quality_evaluation": ("Agreement", "agreement", "evaluate_quality", "read_ratings"),
    "query": ("WITHIN", "Query", "Term", "combine", "parse_terms"),
    "query_bank": ("bank_queries", "bank_vectors"),
    "rating": ("Rater", "load_rater"),
    "recipes": ("Coverage", "coverage", "coverages", "encoder_gone", "encoder_of", "index_command", "made_by", "recipes_of", "use_command"),
    "region_store": ("Annotated", "RegionStore"),
    "schema": ("ASKED_REGION_COLUMNS", "FACT_COLUMNS", "IMAGE_COLUMNS", "REGION_COLUMNS", "SCHEMA_VERSION", "SCORE_COLUMNS", "Column"),
    "hit": ("Answer", "Hit", "RegionHit"),
    "hits": ("answer", "check_recipe", "search"),
    "score_store": ("ScoreStore",),
    "scorers": ("RATING", "PixelScorer", "iqa_folder", "iqa_scorer", "rating_scorer"),
    "scoring": ("Scored", "score_photos", "score_vectors"),
    "sources": ("Source", "Terms", "parse_source"),
    "store": ("Key", "Store", "image_row"),
    "tag_runs": ("RunDiff", "StoredTag", "TagRows", "TagRun", "ids_called", "new_run_id"),
    "tag_store": ("TagStore",),
    "templates": ("ENSEMBLES", "Ensemble", "encode_phrases", "family_of", "load_ensemble"),
    "library_vectors": ("LibraryVectors", "PhotoRegions"),
    "tag_run": ("TagReport", "TagRequest", "run_tagging"),
    "tag_calibration": ("TagCalibration", "uncertain"),
    "tagger": ("FoundTag", "Tagger", "TagOptions", "load_tagger"),
    "verdict": ("STRICTNESS", "Verdict"),
    "verdict_evaluation": ("evaluate_verdicts",),
    "tag_evaluation": ("TagEvaluationOptions", "evaluate_tags"),
    "verify": ("find_faults",),
    "vocabulary": ("Group", "Tag", "Vocabulary", "fault_of", "tag_key"),
    "vocabulary_file": ("VOCABULARIES", "load_vocabulary", "read_vocabulary", "write_vocabulary"),
}
__all__ = [
    "ASKED_REGION_COLUMNS", "CATALOGUE", "ENCODERS", "ENSEMBLES", "FACT_COLUMNS", "FORMS", "IMAGE_COLUMNS", "INDEXES", "IQA",
    "KINDS", "LOGIT_SCALE", "LOOK", "PAIRS", "PLAIN", "RATING", "REGION_COLUMNS", "SCHEMA_VERSION", "SCORE_COLUMNS", "STRENGTHS",
    "STRICTNESS", "TECHNICAL", "VOCABULARIES", "WITHIN", "Agreement", "Annotated", "Answer", "Axes", "Bench", "Cells", "Column",
    "Consent", "Coverage", "CropEncoder", "CropOptions", "Decision", "DenseEncoder", "Derived", "DuplicateGroup",
    "DuplicateOptions", "Duplicates", "Encoder", "EncoderOptions", "Ensemble", "Failure", "Form", "FoundTag", "Frame", "Group",
    "Hit", "ImageInput", "Key", "Library", "LibraryFile", "LibraryVectors", "Likeness", "Marks", "Model", "NearestIndex",
    "OpenVocabulary", "Pair", "PhotoRegions", "PixelScorer", "Prepared", "Query", "Rater", "Recipe", "Recommended", "RegionHit",
    "RegionStore", "RunDiff", "Runtime", "ScoreStore", "Scored", "Source", "Speed", "Spread", "Store", "StoredTag", "Tag",
    "TagCalibration", "TagEvaluationOptions", "TagOptions", "TagReport", "TagRequest", "TagRows", "TagRun", "TagStore", "Tagger",
    "Term", "Terms", "TextInput", "Vectors", "Verdict", "Vocabulary", "VocabularyOptions", "add_dense", "add_iqa", "add_model",
    "agreement", "answer", "bank_queries", "bank_vectors", "bench_model", "catalogue_markdown", "check_recipe", "choose_pairs",
    "choose_precision", "combine", "coverage", "coverages", "encode_phrases", "encoder_gone", "encoder_of",
    "evaluate_haze_retrieval", "evaluate_quality", "evaluate_retrieval", "evaluate_tags", "evaluate_verdicts", "evaluate_zeroshot",
    "family_of", "fault_of", "find_duplicates", "find_faults", "form_of", "ids_called", "image_row", "index_command", "iqa_folder", "iqa_scorer",
    "labels_of", "load_axes", "load_dense", "load_encoder", "load_ensemble", "load_rater", "load_tagger", "load_vocabulary",
    "made_by", "make_derived", "make_marks", "marks_of", "matching_vectors", "model_folders", "nearest_others", "new_run_id",
    "normalize", "open_derived", "parse_pairs", "parse_source", "parse_terms", "rating_scorer", "read_pairs", "read_ratings",
    "read_vocabulary", "recipes_of", "remedy", "row_statement", "run_tagging", "scale_of", "score_photos", "score_vectors",
    "search", "spare_files", "tag_key", "uncertain", "use_command", "write_vocabulary",
]  # fmt: skip


__getattr__ = lazy_names(__name__, _HOMES)
