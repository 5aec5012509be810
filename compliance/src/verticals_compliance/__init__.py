"""Audit bundles by their evidence, and report what was measured. Needs no torch."""
