"""Tensors of a checkpoint, put into a module of open_clip that they fit."""

from __future__ import annotations

from typing import Any

from preprocess import WeightsError, misfits


def fill(module: Any, state: dict[str, Any], what: str, *, stretch: bool = False) -> None:
    """Put a state dict into a module of open_clip, with open_clip's own conversions of other projects' names.

    `stretch` interpolates positions that are for another size of picture or text, as open_clip does silently.

    Raises:
        WeightsError: keys are missing, unknown or of another shape; `what` begins the message.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    state = convert_state_dict(module, dict(state))
    if "positional_embedding" in state and not hasattr(module, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    own = module.state_dict()
    for key in ("logit_scale", "logit_bias"):  # a number or a row of one
        if key in state and key in own and state[key].numel() == 1:
            state[key] = state[key].reshape(own[key].shape)
    if "logit_bias" in own and "logit_bias" not in state:
        state["logit_bias"] = own["logit_bias"] * 0
    old = "text.transformer.embeddings.position_ids"  # transformers does without it since 4.31
    if old not in own:
        state.pop(old, None)
    if stretch:
        resize_pos_embed(state, module)
        resize_text_pos_embed(state, module)
    said = misfits(own, state)
    if said:
        raise WeightsError(f"{what}: {said}. Name the architecture that they were trained in with --arch.")
    module.load_state_dict(state)
