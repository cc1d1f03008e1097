"""The encoder that ships with Pellucid; see MODEL_CARD.md."""
