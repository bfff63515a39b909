"""Regression: a run held against a baseline, and the decision of a gate."""
