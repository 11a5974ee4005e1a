"""Seals and timestamps, what the service itself seals, and the keys behind them: held, brought in, changed."""
