"""The hash-chained ledger: entries, RFC 6962 tree, checkpoints and receipts."""
