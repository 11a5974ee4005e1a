"""What a digital safe does: receive, seal, timestamp, store, record, prove."""
