"""Frozen value types of the safe; no input or output here."""
