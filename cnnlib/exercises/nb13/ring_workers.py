"""Workers in a ring, as threads, for exercise 13.8. A deadlock is noticed at once."""

import copy
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_IDLE_S = 10.0  # without a message sent or received


class Stopped(BaseException):
    """Ends a worker whose ring has come to a stop; no `except Exception` catches it."""


@dataclass
class Outcome:
    """What became of a ring. Lists have one entry for each worker."""

    results: list[Any]
    given: list[np.ndarray]  # what each got, as it is afterwards
    errors: list[BaseException | None]
    num_sent: list[int]  # values
    messages: list[int]
    unread: list[int]
    stuck: list[int] = field(default_factory=list)  # the workers that wait in a deadlock
    flooded: int = 0  # the limit of messages that somebody passed
    endless: bool = False


class Ring:
    """Links between workers, each to the next; all state is behind one lock."""

    def __init__(self, num_workers: int) -> None:
        self.changed = threading.Condition()
        self.links = [deque() for _ in range(num_workers)]  # to worker r, from the one before
        self.state = ["running"] * num_workers  # or "waiting", "done"
        self.num_sent, self.messages = [0] * num_workers, [0] * num_workers
        self.stuck: list[int] = []
        self.flooded, self.limit, self.moves = 0, 8 * num_workers + 8, 0

    def send(self, rank: int, values: Any) -> None:
        """Put a copy on the link to the next worker; never waits."""
        values = np.array(values)
        with self.changed:
            self._go_on()
            self.links[(rank + 1) % len(self.links)].append(values)
            self.num_sent[rank] += values.size
            self.messages[rank] += 1
            self.moves += 1
            if self.messages[rank] > self.limit:
                self.flooded = self.limit
            self.changed.notify_all()
            self._go_on()

    def receive(self, rank: int) -> np.ndarray:
        """Wait for what the worker before has sent, and take the oldest of it."""
        with self.changed:
            self.state[rank] = "waiting"
            self._look()
            while not self.links[rank]:
                self._go_on()
                self.changed.wait()
            self._go_on()
            self.state[rank] = "running"
            self.moves += 1
            return self.links[rank].popleft()

    def finish(self, rank: int) -> None:
        """A worker has returned, or stopped with an exception."""
        with self.changed:
            self.state[rank] = "done"
            self._look()
            self.changed.notify_all()

    def stop(self) -> None:
        """End all that wait."""
        with self.changed:
            self.flooded = self.flooded or -1
            self.changed.notify_all()

    def _look(self) -> None:
        """If every worker that is not done waits for an empty link, nothing will ever move."""
        open_ranks = [r for r, state in enumerate(self.state) if state != "done"]
        idle = [r for r in open_ranks if self.state[r] == "waiting" and not self.links[r]]
        if open_ranks and idle == open_ranks and not self.stuck:
            self.stuck = idle
            self.changed.notify_all()

    def _go_on(self) -> None:
        if self.stuck or self.flooded:
            raise Stopped


def run_workers(answer: Callable, values: list[np.ndarray]) -> Outcome:
    """Run one worker for each array, in threads, and see what comes of it."""
    n = len(values)
    ring, given = Ring(n), copy.deepcopy(values)
    results, errors = [None] * n, [None] * n

    def work(rank: int) -> None:
        try:
            results[rank] = answer(
                given[rank],
                rank,
                n,
                lambda message: ring.send(rank, message),
                lambda: ring.receive(rank),
            )
        except Stopped:
            pass
        except (Exception, SystemExit) as error:
            errors[rank] = error
        finally:
            ring.finish(rank)

    threads = [threading.Thread(target=work, args=(r,), daemon=True) for r in range(n)]
    for thread in threads:
        thread.start()
    endless = _join(threads, ring)
    flooded = max(ring.flooded, 0)
    unread = [len(link) for link in ring.links]
    return Outcome(results, given, errors, ring.num_sent, ring.messages, unread,
                   ring.stuck, flooded, endless)  # fmt: skip


def _join(threads, ring: Ring) -> bool:
    """Wait for the threads while something moves; whether they had to be given up."""
    while any(thread.is_alive() for thread in threads):
        before = ring.moves
        for thread in threads:
            thread.join(MAX_IDLE_S / len(threads))
        if any(thread.is_alive() for thread in threads) and ring.moves == before:
            ring.stop()
            for thread in threads:
                thread.join(0.2)
            return True
    return False
