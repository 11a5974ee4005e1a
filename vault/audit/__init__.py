"""Audit of a safe's contents: documents and matters against ledger, object store and recovery records."""
