"""Stored results that know their recipe."""
