"""What everything else may stand on: document keys and digests, secret files, fault points, spans."""
