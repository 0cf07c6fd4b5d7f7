"""The graph side of the method, in pure tensors: CSR, expander, sampling, layered blocks, score file."""
