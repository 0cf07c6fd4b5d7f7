"""Measures of attention scores."""
