"""A complete vertical by an outside party: energy arrears."""
