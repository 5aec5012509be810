"""Fraud detection: point-in-time features, decisions by budget, cases that can be re-examined."""
