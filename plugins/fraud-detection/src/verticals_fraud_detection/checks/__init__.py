"""Fraud's own audit checks. They read evidence tables only: no torch, no model, no bundle."""
