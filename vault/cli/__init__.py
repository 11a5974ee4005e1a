"""The `probans` command line."""
