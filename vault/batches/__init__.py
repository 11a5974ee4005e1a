"""Batches: an administration issues many acts by a manifest and their files."""
