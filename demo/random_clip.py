"""A CLIP with random weights, to try models with nothing downloaded: `python demo/random_clip.py OUT.safetensors [--arch ViT-B-32]`.

Then: `pellucid models add path:OUT.safetensors --arch ViT-B-32`. It runs like a trained one and finds nothing. Needs `pip install 'pellucid[torch]'`.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def main() -> None:
    """Write the file; the same seed gives the same weights."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path, help="file to write, ending in .safetensors")
    options.add_argument("--arch", default="ViT-B-32", help="architecture, as open_clip names it (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="of the random weights (default: %(default)s)")
    given = options.parse_args()
    if given.out.suffix != ".safetensors":
        options.error(f"{given.out} does not end in .safetensors")

    import open_clip
    import torch
    from safetensors.torch import save_file

    logging.disable(logging.WARNING)  # that no weights were loaded
    if given.arch not in open_clip.list_models():
        options.error(f"open_clip has no architecture {given.arch}; open_clip.list_models() names them")
    torch.manual_seed(given.seed)
    model = open_clip.create_model(given.arch, pretrained_text=False)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, given.out)
    print(f"{given.out}: {given.arch} with random weights, {given.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
