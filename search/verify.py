"""Is a model folder whole, and does it answer?"""

from __future__ import annotations

from pathlib import Path

from preprocess import Fault, PellucidError, WeightsError, file_faults

from .model import Model, remedy

_TEXTS = ("a photo of a dog", "")
_PROBE = 0.002
"""Largest difference of a number in a vector from the day the model was added. At dimension 512 that is a cosine of 0.999; a sound runtime
stays below 0.001, another tokenizer or resizing goes far beyond."""


def find_faults(folder: Path) -> list[Fault]:
    """What is wrong with a model folder: facts that do not read, files whose sha256 is another, graphs that do not load, or vectors for a
    picture or text that are not unit rows of the stated dimension. Empty when all is well."""
    help_ = remedy(folder)
    try:
        model = Model.read(folder)
    except WeightsError as error:
        return [Fault(folder / "weights.json", str(error.__cause__ or error).rstrip("."), help_)]
    if wrong := file_faults(folder, model.files, help_):
        return wrong
    try:
        return _odd_vectors(folder, model)
    except PellucidError as error:
        return [Fault(folder, str(error).removesuffix(help_).strip().rstrip("."), help_)]
    except Exception as error:  # the runtime's own errors have no common parent
        return [Fault(folder, f"does not run: {error}".strip().rstrip("."), help_)]


def _odd_vectors(folder: Path, model: Model) -> list[Fault]:
    import numpy as np

    from ._onnx_clip import OnnxEncoder
    from .encode import EncoderOptions

    rows = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    faults = []
    for precision in model.precisions:
        encoder = OnnxEncoder(folder, EncoderOptions(precision=precision, threads=1))
        prepared = encoder.prepare(rows)
        vectors = {f"photos in {precision}": encoder.encode_images([prepared, prepared])}
        if precision == model.precision:
            vectors["texts"] = encoder.encode_texts(list(_TEXTS))
        for what, found in vectors.items():
            lengths = np.linalg.norm(found, axis=-1)
            if found.shape != (2, model.dim):
                faults.append(
                    Fault(folder, f"the vectors of {what} have dimension {found.shape[-1]} instead of {model.dim}", remedy(folder))
                )
            elif not np.isfinite(found).all() or not np.allclose(lengths, 1, atol=1e-3):
                faults.append(Fault(folder, f"the vectors of {what} cannot be made unit rows", remedy(folder)))
        if not faults and "probe" in model.measured and precision == model.precision == "fp32":
            from .probe import probe_difference

            difference = probe_difference(encoder, model.measured["probe"])
            if not difference <= _PROBE:
                faults.append(Fault(folder, f"its vectors differ by {difference:.4f} from those of the day it was added", remedy(folder)))
    return faults


def probe_of(folder: Path) -> dict[str, list[float]]:
    """What to compare with on a later day: numbers of the vectors of a photo and a text that are the same on every machine."""
    from ._onnx_clip import OnnxEncoder
    from .encode import EncoderOptions
    from .probe import probe_vectors

    return probe_vectors(OnnxEncoder(folder, EncoderOptions(precision=Model.read(folder).precision, threads=1)))
