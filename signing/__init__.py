"""Seals: PAdES, CAdES and ASiC-E, the keys behind them, and their validation."""
