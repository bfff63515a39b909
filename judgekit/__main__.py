"""`python -m judgekit`: the same as the console script."""

from judgekit.cli import main

main()
