"""Documents, from the draft to destruction: typeset, issued anew, read, searched, bundled, marked copies."""
