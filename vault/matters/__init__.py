"""Matters, whose every step is a ledger entry: requests and their answers, consents, statements, cases."""
