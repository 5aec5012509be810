"""Audit checks of item responses: they read evidence tables and import no torch."""
