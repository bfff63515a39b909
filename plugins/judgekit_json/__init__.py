"""judgekit plugin."""
