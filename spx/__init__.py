"""Spexphormer: sparse graph Transformers trained in two stages, as a PyTorch Lightning application."""

__version__ = "0.1.0"
