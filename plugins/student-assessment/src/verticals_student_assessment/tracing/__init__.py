"""The solution knowledge-tracing."""
