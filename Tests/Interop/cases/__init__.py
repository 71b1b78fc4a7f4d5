"""The tests; each module is one subject."""
