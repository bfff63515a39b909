"""judgekit: pytest for LLM judges. The names of a plugin's contract; `judgekit.data`, `judgekit.judging`,
`judgekit.statistics` and `judgekit.testing` have what fewer plugins need. Plugins import nothing else.

Names are resolved on first use, so that `judgekit --help` loads neither pydantic nor numpy.
"""

from judgekit.doors import open_door

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = open_door(__name__, __file__)
