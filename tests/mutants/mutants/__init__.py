"""Solutions that each break one rule, to prove that each conformance check can fail."""
