"""How the service is watched: lines of log, spans sent out, health of its parts, figures for monitoring."""
