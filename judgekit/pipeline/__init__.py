"""The pipeline: the steps of a run in order, and what else asks models or reads runs."""
