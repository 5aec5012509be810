"""Audit checks of essay-scoring; none imports torch."""
