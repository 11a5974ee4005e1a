"""The database rebuilt from records, objects and the published ledger; what keeps an older one from writing."""
