"""What access rests on: relations of callers, purposes, proofs of identity demanded, limits, what is given."""
