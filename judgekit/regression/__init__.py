"""Regression: a run compared with a baseline, and the decision of a gate."""
