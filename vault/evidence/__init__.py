"""Evidence bundles: how they are built, read and judged, without any service."""
