"""Dense features of vision transformers: the graph against the paper's equations, written here once more in numpy."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocess import InputError, WeightsError, digest_of, example_photos, real_photos
from search import CropEncoder, EncoderOptions, Model, add_dense, add_model, find_faults, load_dense, load_encoder
from search._dense import TiledEncoder, open_dense
from search.dense import DENSE, LONGEST
from search.model import DATA, IMAGE

LEAST = 0.9999


def softmax(rows: np.ndarray) -> np.ndarray:
    rows = np.exp(rows - rows.max(-1, keepdims=True))
    return rows / rows.sum(-1, keepdims=True)


def layer_norm(rows: np.ndarray, norm: Any) -> np.ndarray:
    weight, bias = (part.detach().double().numpy() for part in (norm.weight, norm.bias))
    return (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + norm.eps) * weight + bias


def linear(rows: np.ndarray, weight: Any, bias: Any = None) -> np.ndarray:
    return rows @ weight.detach().double().numpy().T + (0 if bias is None else bias.detach().double().numpy())


def correlative_attention(rows: np.ndarray, weight: Any, bias: Any, heads: int) -> np.ndarray:
    """Attn = softmax(X Wq Wqᵀ Xᵀ / √d) + softmax(X Wk Wkᵀ Xᵀ / √d), one head after the other, times X Wv."""
    queries, keys, values = np.split(linear(rows, weight, bias), 3, axis=-1)
    width = queries.shape[-1] // heads
    out = []
    for head in range(heads):
        q, k, v = (part[:, head * width : (head + 1) * width] for part in (queries, keys, values))
        out.append((softmax(q @ q.T / np.sqrt(width)) + softmax(k @ k.T / np.sqrt(width))) @ v)
    return np.concatenate(out, axis=-1)


def activated(rows: np.ndarray, mlp: Any) -> np.ndarray:
    """The block's MLP, which is no part of the paper, by torch."""
    import torch

    with torch.inference_mode():
        return mlp.double()(torch.from_numpy(rows)).numpy()


def entering(module: Any, last: Any, photo: np.ndarray, image: Any) -> np.ndarray:
    """What the last block takes of a photo when open_clip's own code runs, Float64["token width"]."""
    import torch

    seen = []
    handle = last.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    floats = (photo.astype(np.float32) / 255 - np.float32(image.mean)) / np.float32(image.std)
    with torch.inference_mode():
        module.encode_image(torch.from_numpy(floats.astype(np.float32)).permute(2, 0, 1)[None])
    handle.remove()
    return seen[0][0].double().numpy()


def reference(module: Any, photo: np.ndarray, image: Any) -> np.ndarray:
    """Unit rows of the patches of a prepared photo, Float64["row column dim"]."""
    visual = module.visual
    if hasattr(visual, "trunk"):
        trunk = visual.trunk
        last, heads = trunk.blocks[-1], trunk.blocks[-1].attn.num_heads
        rows = entering(module, last, photo, image)
        mixed = correlative_attention(layer_norm(rows, last.norm1), last.attn.qkv.weight, last.attn.qkv.bias, heads)
        rows = rows + linear(mixed, last.attn.proj.weight, last.attn.proj.bias)
        rows = layer_norm(rows + activated(layer_norm(rows, last.norm2), last.mlp), trunk.norm)
        pool = trunk.attn_pool
        width = rows.shape[-1]
        rows = linear(rows, pool.kv.weight[width:], pool.kv.bias[width:])  # all attention on the patch itself
        rows = linear(rows, pool.proj.weight, pool.proj.bias)
        rows = rows + activated(layer_norm(rows, pool.norm), pool.mlp)
        grid = trunk.patch_embed.grid_size
    else:
        last = visual.transformer.resblocks[-1]
        rows = entering(module, last, photo, image)
        mixed = correlative_attention(layer_norm(rows, last.ln_1), last.attn.in_proj_weight, last.attn.in_proj_bias, last.attn.num_heads)
        rows = rows + linear(mixed, last.attn.out_proj.weight, last.attn.out_proj.bias)
        rows = rows + activated(layer_norm(rows, last.ln_2), last.mlp)
        rows = layer_norm(rows[1:], visual.ln_post) @ visual.proj.detach().double().numpy()
        grid = visual.grid_size
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows.reshape(*grid, -1)


@pytest.fixture(scope="module")
def narrow(make_narrow: Callable[..., Any], export: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model with dense features, with its weights in a file beside the graph, as those of real size have."""
    from search import _graph_beside, _towers

    with pytest.MonkeyPatch.context() as patch:
        for module in (_towers, _graph_beside):
            patch.setattr(module, "LARGEST_FILE", 1_000_000)
        loaded = make_narrow("ViT-B-32-dense", quick_gelu=True)
        yield export(loaded, tmp_path_factory.mktemp("models") / "narrow", runtime="torch", dense=True)


def check_parity(session: Any, loaded: Any, ready: Any) -> Any:
    """The vector of a prepared photo, once its patches are what the paper says."""
    vector, dense = session.run(["vector", "dense"], {loaded.image.tensor: ready[None]})
    wanted = reference(copy.deepcopy(loaded.module), ready, loaded.image)
    assert dense.shape[1:] == wanted.shape
    np.testing.assert_allclose(np.linalg.norm(dense, axis=-1), 1, atol=1e-5)
    assert (dense[0] * wanted).sum(-1).min() >= LEAST
    assert (wanted.reshape(-1, wanted.shape[-1]) @ vector[0]).min() < 0.9  # patches are not the photo's vector over again
    return vector[0]


def test_parity_with_the_papers_equations(narrow: Any) -> None:
    assert narrow.measured["dense_cosine"] >= LEAST <= narrow.measured["dense_vector_cosine"]
    for photo in example_photos(3):
        ready = narrow.encoder.prepare(photo)
        vector = check_parity(open_dense(narrow.folder, 1), narrow.loaded, ready)
        assert (vector * narrow.encoder.encode_images([ready])[0]).sum() >= LEAST


def test_parity_of_siglip(make_loaded: Callable[..., Any], tmp_path: Path) -> None:
    import torch

    from search._dense_export import write_dense
    from search._torch_clip import normalized

    loaded = make_loaded("ViT-B-16-SigLIP2", name="ViT-B-16-SigLIP2-dense")
    (tmp_path / IMAGE).touch()
    write_dense(loaded, tmp_path)
    ready = np.asarray(Image.fromarray(example_photos(1)[0]).resize((loaded.image.side, loaded.image.side)))
    vector = check_parity(open_dense(tmp_path, 1), loaded, ready)
    with torch.inference_mode():
        theirs = loaded.module.encode_image(normalized(torch.from_numpy(np.array(ready[None])), loaded.image), normalize=True)
    assert (vector * theirs[0].numpy()).sum() >= LEAST


def test_dense_features_come_after_without_changing_a_vector(narrow: Any, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "narrow"
    shutil.copytree(narrow.folder, folder)
    (folder / DENSE).unlink()
    model = Model.read(folder)
    replace(model, files={name: digest for name, digest in model.files.items() if name != DENSE}).write(folder)
    options = EncoderOptions(tmp_path / "models")
    recipe, before = load_encoder("narrow", options).recipe, digests(folder)
    assert isinstance(load_dense("narrow", options), CropEncoder)
    assert not find_faults(folder)
    add_dense("narrow", tmp_path / "models")
    assert isinstance(load_dense("narrow", options), TiledEncoder)
    assert load_encoder("narrow", options).recipe == recipe
    after = digests(folder)
    assert after == before | {DENSE: after[DENSE]}
    assert Model.read(folder).files == after
    assert not find_faults(folder)


def digests(folder: Path) -> dict[str, str]:
    return {file.name: digest_of(file) for file in folder.iterdir() if file.name != "weights.json"}


def test_weights_are_shared(narrow: Any) -> None:
    data, dense = narrow.folder / (IMAGE + DATA), narrow.folder / DENSE
    assert dense.stat().st_size < data.stat().st_size / 20
    assert not (narrow.folder / (DENSE + DATA)).exists()
    assert not find_faults(narrow.folder)


def test_a_photo_of_another_shape_is_tiled(narrow: Any) -> None:
    """Each corner is covered by one tile alone, so it must be what that tile gives; and cells lie in the photo's order."""
    encoder = load_dense("narrow", EncoderOptions(narrow.folder.parent, threads=1))
    photo = np.asarray(
        Image.fromarray(real_photos()[0]).resize((640, 320))
    )  # 10 patches of 32 on the short side: as large as it is looked at
    steps: list[float | None] = []
    cells = encoder(photo, lambda _, share: steps.append(share)).vectors
    assert cells.shape == (10, 20, 128)
    assert steps[-1] == 1.0
    side = narrow.loaded.image.side
    for rows, columns, cell in ((slice(0, side), slice(0, side), (0, 0)), (slice(-side, None), slice(-side, None), (-1, -1))):
        (dense,) = encoder.session.run(["dense"], {"pixels": np.ascontiguousarray(photo[rows, columns])[None]})  # type: ignore[attr-defined]
        np.testing.assert_allclose(cells[cell], dense[0][cell], atol=1e-5)
    assert np.linalg.norm(cells, axis=-1).max() <= 1 + 1e-5
    assert encoder(photo[:, :33]).vectors.shape == (LONGEST * 10 if 320 / 33 * 10 > 120 else round(320 * 10 / 33), 10, 128)


def test_a_damaged_dense_graph_is_refused(narrow: Any, tmp_path: Path) -> None:
    shutil.copytree(narrow.folder, tmp_path / "models" / "cut")
    (tmp_path / "models" / "cut" / DENSE).write_bytes(b"none")
    with pytest.raises(WeightsError, match=r"dense.onnx does not load"):
        load_dense("cut", EncoderOptions(tmp_path / "models"))(np.zeros((40, 40, 3), np.uint8))


def test_a_tower_without_patches_says_what_has_them(narrow: Any) -> None:
    import torch

    from search._dense_export import DenseTower

    loaded = replace(narrow.loaded, module=SimpleNamespace(visual=torch.nn.Conv2d(3, 3, 3)))
    with pytest.raises(WeightsError, match=r"a Conv2d.*SigLIP.*without --dense"):
        DenseTower(loaded)


def test_ready_made_graphs_have_no_weights_for_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ready-made graphs"):
        add_model("hub:somebody/a-model", tmp_path, dense=True, offline=True)
    with pytest.raises(InputError, match="No added model named"):
        add_dense("nobody", tmp_path)
