"""The segmenter that ships with Pellucid; see MODEL_CARD.md."""
