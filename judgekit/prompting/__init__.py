"""Prompting: templates, chat templates and styles, which make the text that a model reads."""
