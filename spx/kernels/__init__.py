"""Compiled inner loops, below `spx.graph` and `spx.nn`: numba on the CPU, Triton on CUDA, torch where neither is.

They know tensors and row pointers, no graph and no network. Each has a plain counterpart that it is tested against.
"""
