"""The learned dehazers that ship with Pellucid; see MODEL_CARD.md."""
