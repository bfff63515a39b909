"""Calls: how requests reach a server or a model, are held back, tried again, paid for, and found again."""
