"""Audit checks of medical imaging: they read evidence tables and import no torch."""
