"""For the authors of verticals: conformance checks, a pytest plugin, and a scaffold."""
