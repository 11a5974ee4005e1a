"""Write-once object storage, the ledger's log store, recovery records, and encryption at rest."""
