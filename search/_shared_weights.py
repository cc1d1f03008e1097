"""Two graphs of one model that have their weights in one file."""

from __future__ import annotations

import hashlib
import mmap
from typing import TYPE_CHECKING, Any

from .model import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from onnx.external_data_helper import ExternalDataInfo

_SHARED_BYTES = 1024  # smaller tensors are written into the graph itself


def share_weights(graph: Any, image: Path) -> int:
    """Point the tensors of a loaded graph that `image` has too into the file of its weights; gives the bytes that are shared."""
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, set_external_data

    places: dict[tuple[Any, ...], ExternalDataInfo] = {}
    other = onnx.load(str(image), load_external_data=False)
    with (image.parent / (image.name + DATA)).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for tensor in other.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                info = ExternalDataInfo(tensor)
                begin = info.offset or 0
                places[_key(tensor, data[begin : begin + (info.length or 0)])] = info
    shared = 0
    for tensor in graph.graph.initializer:
        place = places.get(_key(tensor, tensor.raw_data)) if len(tensor.raw_data) >= _SHARED_BYTES else None
        if place is not None:
            shared += len(tensor.raw_data)
            set_external_data(tensor, place.location, place.offset, place.length)
            tensor.ClearField("raw_data")
    return shared


def _key(tensor: Any, content: bytes) -> tuple[Any, ...]:
    return (tensor.data_type, tuple(tensor.dims), hashlib.sha256(content).digest())
