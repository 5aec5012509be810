"""The solution item-response."""
