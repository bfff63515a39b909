"""The sections of benchmarks/gpt2.py: each has `figures(rounds)`, which yields what it measures."""
