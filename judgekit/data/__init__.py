"""Data: items, their formats and their files."""

from judgekit.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
