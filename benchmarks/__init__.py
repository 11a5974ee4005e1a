"""Measurements, each beside a baseline taken in the same run: ratios last, absolute times do not."""
