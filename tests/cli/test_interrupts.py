"""Ctrl-C: the first one is a wish, the second one an end; after the block the process has its own handlers again."""

import os
import signal
import subprocess
import sys

from judgekit.cli.interrupts import interruptible


def test_the_first_signal_sets_the_event_and_the_handlers_come_back(capsys):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        with interruptible() as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            assert stop.wait(5)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert "stopping" in capsys.readouterr().err


def test_the_second_signal_ends_the_process_with_130():
    code = (
        "import os, signal, time\nfrom judgekit.cli.interrupts import interruptible\n"
        "with interruptible():\n    for _ in range(2): os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 130
