"""Words for people, French first: for each stable code, what happened, what to do, and the HTTP status."""
