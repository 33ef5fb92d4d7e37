"""Tests that open the built site in a real browser, as a lecturer and a reader do."""
