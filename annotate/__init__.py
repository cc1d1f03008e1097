"""Pixels to labelled regions."""
