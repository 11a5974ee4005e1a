"""How things are written: the change behind a ledger entry, its recovery record, the encrypted objects."""
