"""Measurements of speed and memory, one script a question: `make bench-sampling`, `bench-attention`, ..."""
