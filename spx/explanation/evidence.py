"""What was measured about attention as an explanation (`make bench-explanations`, docs/predictions.md)."""

EVIDENCE = "TODO"
