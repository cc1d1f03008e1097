"""The vocabularies that ship with Pellucid, as text."""
