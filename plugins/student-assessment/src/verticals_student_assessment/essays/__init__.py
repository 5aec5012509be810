"""The solution essay-scoring."""
