"""Prompting: how templates, chat templates and styles make the text that a model reads."""
