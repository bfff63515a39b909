"""Ctrl-C: the first one is a wish, the second one an end; after the block the process has its own handlers again."""

import os
import signal
import subprocess
import sys

from judgekit.cli.interrupts import interruptible


def test_the_first_signal_sets_the_event_and_the_handlers_come_back(capsys):
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # that of these tests may be ignored
    before = [signal.getsignal(number) for number in ends]
    for number in ends:
        with interruptible() as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            assert stop.wait(5)
    assert [signal.getsignal(number) for number in ends] == before
    signal.signal(signal.SIGHUP, hangup)
    assert "stopping" in capsys.readouterr().err


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wait(0.2)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_signal_ends_the_process_with_130():
    code = (
        "import os, signal, time\nfrom judgekit.cli.interrupts import interruptible\n"
        "with interruptible():\n    for _ in range(2): os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 130
