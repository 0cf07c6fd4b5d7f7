"""The attention-score study, `spx analyze` (Appendix F, "Even Sparser Graph Transformers"): the trainings it needs, the
measures of `spx.analysis` as tables, and from these the claims, the pictures, the report and TensorBoard's pages.

A room of its own: `spx.analysis` holds pure measures and `spx.experiments` loads no torch, while this needs both, the
data and the trained networks."""
