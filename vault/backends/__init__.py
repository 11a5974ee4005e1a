"""The parts of `vault.bootstrap`, which alone chooses backends: stores, keys, authorities, antivirus, channels."""
