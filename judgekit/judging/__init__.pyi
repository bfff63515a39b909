from judgekit.judging.logprobs import spread_of_tokens as spread_of_tokens
from judgekit.judging.parsing import without_thoughts as without_thoughts
