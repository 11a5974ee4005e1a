"""The settings by subject, which `vault.settings` alone reads from the environment, and the files they name."""
