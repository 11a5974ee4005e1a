"""Schema changes, run by `vault.db.engine.Database.migrate`."""
