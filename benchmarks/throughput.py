"""How much of a bare HTTP client's speed is left with the ledger on.

    python benchmarks/throughput.py [--calls 2000] [--threads 64] [--rounds 5] [--delay 0]

All ask a loopback server (in a process of its own) from the same number of threads: the bare one is a loop round one
httpx.Client a thread, the caller is a session's over judgekit.Http with a fresh ledger, and the run is the judging
step of a whole `judgekit run`: samples, prompts, calls, ledger, verdicts, rows on disk. Rounds alternate, because a
shared machine's speed drifts; the figure is the median of the rounds' ratios of the run to the bare loop, to be 0.8.
Ends with 1 when it is missed.
"""

from __future__ import annotations

import argparse
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import judgekit
from judgekit.calls.ledger import Ledger
from judgekit.calls.session import Session
from judgekit.records import Call, JsonValue, Message, Request, Sampling
from judgekit.testing import ChatServer
from judgekit_threads.executor import Threads

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

RUBRIC = (
    "Below is an instruction, a reference answer and a response to be judged. Score the response from 0 to 100, "
    "where 100 means as good as the reference. Answer with the integer only.\n\n"
    "Instruction: Rewrite the sentence in the passive voice: the cat chased the mouse.\n"
    "Reference: The mouse was chased by the cat.\n"
    "Response: The mouse was being chased by cat number {}.\n\nScore:"
)


def chat_body(request: Request) -> dict[str, JsonValue]:
    """The request as an OpenAI chat completion."""
    return {
        "model": "loopback",
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "temperature": request.sampling.temperature,
        "seed": request.sampling.seed,
        "max_completion_tokens": request.sampling.max_new_tokens,
    }


class Loopback(judgekit.Backend):
    """The least that an OpenAI-shaped backend has to do."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.http = judgekit.Http(url)

    def generate(self, requests):
        return [self.ask(request) for request in requests]

    def ask(self, request: Request) -> judgekit.Reply:
        body = self.http.post("/chat/completions", chat_body(request)).body
        choice, usage = body["choices"][0], body["usage"]
        return judgekit.Reply(
            text=choice["message"]["content"],
            usage=judgekit.Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"]),
        )

    def close(self) -> None:
        self.http.close()


def requests(count: int) -> Iterator[Request]:
    sampling = Sampling(max_new_tokens=8, temperature=0, seed=123)
    for i in range(count):
        yield Request(messages=(Message(role="user", content=RUBRIC.format(i)),), sampling=sampling)


def bare(url: str, count: int, threads: int) -> None:
    """One httpx.Client a thread, nothing kept."""
    import httpx

    work: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    for request in requests(count):
        work.put(request)
    context = httpx.create_ssl_context()  # 20 ms a client otherwise

    def worker() -> None:
        with httpx.Client(verify=context, timeout=120) as client:
            while (request := work.get()) is not None:
                response = client.post(f"{url}/chat/completions", json=chat_body(request))
                response.raise_for_status()
                assert response.json()["choices"][0]["message"]["content"].isdigit()

    workers = [threading.Thread(target=worker) for _ in range(threads)]
    for thread in workers:
        work.put(None)
        thread.start()
    for thread in workers:
        thread.join()


def ours(url: str, count: int, threads: int) -> None:
    """The same calls through a session and a fresh ledger."""
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        backend = Loopback(url)
        with Session(ledger, Threads(threads), jobs=threads) as session:
            replies = session.caller("models.ours", backend).calls("generate", map(Call, requests(count)))
            scored = sum(reply.text.isdigit() for reply in replies)
        backend.close()
        assert scored == count, f"{scored} of {count} scored"
        assert ledger.stats().entries == count


def whole(url: str, count: int, threads: int) -> float:
    """The seconds that a whole run spends on judging `count` stored responses."""
    from judgekit.config.load import load
    from judgekit.pipeline.run import Run, Settings
    from judgekit.plugins import build_manager
    from scoring import prepare

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, url, count, threads)
        manager = build_manager(only=("datasets", "responses", "openai", "metrics", "readings", "json"))
        settings = Settings(output=folder / "runs", home=folder / "home", jobs=threads)
        outcome = Run(load(folder / "judgekit.yaml"), folder, manager, settings).execute()
        (estimate,) = outcome.record.estimates
        assert estimate.counts == {"scored": count}, estimate.counts
        return outcome.seconds["judging"]


def measure(work: Callable[[str, int, int], float | None], url: str, count: int, threads: int) -> tuple[float, float]:
    """(calls a second, CPU milliseconds a call) of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    seconds = work(url, count, threads) or time.perf_counter() - wall
    return count / seconds, (time.process_time() - cpu) / count * 1000


def rss() -> float:
    """This process's resident memory now, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def memory(url: str, count: int, threads: int) -> float:
    """Growth of the resident memory from `count` calls to ten times as many, in MiB."""
    ours(url, count, threads)
    before = rss()
    ours(url, 10 * count, threads)
    return rss() - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds the server takes for a reply")
    parser.add_argument("--memory", action="store_true", help="also measure the memory over ten times the calls")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    options = parser.parse_args()
    if options.smoke:
        options = parser.parse_args(["--smoke", "--calls", "200", "--threads", "8", "--rounds", "1"])
    ratios = []
    with ChatServer(delay=options.delay) as server:
        for work in (bare, ours, whole):
            work(server.url, 200, options.threads)  # warm up imports and the server
        for i in range(options.rounds):
            order = (bare, ours, whole) if i % 2 == 0 else (whole, ours, bare)
            speed = {work: measure(work, server.url, options.calls, options.threads) for work in order}
            ratios.append(speed[whole][0] / speed[bare][0])
            print(
                f"round {i + 1}: bare httpx {speed[bare][0]:5.0f} calls/s ({speed[bare][1]:.2f} ms CPU), "
                f"caller {speed[ours][0]:5.0f} ({speed[ours][1]:.2f} ms CPU), whole run {speed[whole][0]:5.0f} "
                f"({speed[whole][1]:.2f} ms CPU with preparation and statistics), ratio {ratios[-1]:.2f}",
                flush=True,
            )
        if options.memory:
            grown = memory(server.url, options.calls, options.threads)
            print(
                f"memory: {grown:+.1f} MiB from {options.calls} to {10 * options.calls} calls; {rss():.0f} MiB in all"
            )
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f} (to reach: 0.80)")
    return 0 if median >= 0.8 or options.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
