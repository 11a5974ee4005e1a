"""RFC 3161 timestamps: the embedded authority, the client of outside ones, and verification."""
