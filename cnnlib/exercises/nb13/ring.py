"""Exercise 13.8, All-reduce around a ring: the checker's workers, and what it says of them."""

import numpy as np

from cnnlib.exercises.compare import as_numpy, kind, show
from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb13.ring_workers import Outcome, run_workers
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def ring_all_reduce(values, rank, num_workers, send, receive):
    chunks = [chunk.copy() for chunk in np.array_split(values, num_workers)]
    for step in range(num_workers - 1):  # reduce-scatter: sums travel and grow
        send(chunks[(rank - step) % num_workers])
        number = (rank - step - 1) % num_workers
        chunks[number] = chunks[number] + receive()
    for step in range(num_workers - 1):  # all-gather: what is complete travels on
        send(chunks[(rank + 1 - step) % num_workers])
        chunks[(rank - step) % num_workers] = receive()
    return np.concatenate(chunks) / num_workers


BASE = 16  # worker r's values are BASE ** r, so that a sum tells how often each took part


def _cases():
    """(words, the values of each worker), smallest first."""
    rng = np.random.default_rng(138)

    def case(num_workers, size, dtype=np.float64):
        values = rng.integers(-90, 91, size=(num_workers, size)).astype(dtype)
        return f"{num_workers} workers, {size} values each", list(values)

    for num_workers, size in ((2, 4), (2, 5), (3, 6), (3, 7), (4, 4), (4, 12)):
        yield case(num_workers, size)
    words, values = case(4, 10, np.float32)
    yield f"{words}, float32", values
    words, values = case(3, 2)
    yield f"{words}: fewer values than workers", values
    words, values = case(1, 5)
    yield f"{words}: a single worker", values
    yield case(5, 103)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    if isinstance(run_workers(answer, [np.arange(4.0)]).errors[0], NotImplementedError):
        return not_attempted()
    num_cases, sent = 0, ""
    for words, values in _cases():
        at = ("case", words)
        outcome = run_workers(answer, values)
        if verdict := _stopped(outcome, len(values), at):
            return verdict
        if verdict := _values(answer, outcome, values, at):
            return verdict
        if verdict := _traffic(outcome, values, at):
            return verdict
        num_cases += 1
        sent = f"{max(outcome.num_sent)} of {values[0].size} values"
    return correct(
        f"{num_cases} rings of 1 to 5 workers. In the last one each sent {sent}, where sending "
        "everything to everybody would have been 412."
    )


def _stopped(outcome: Outcome, num_workers: int, at) -> Verdict | None:
    """Exceptions, deadlocks, and messages that nobody fetched."""
    for rank, error in enumerate(outcome.errors):
        if error is not None:
            return raised(error, at, ("worker", f"{rank}"), attempted=True)
    if outcome.endless:
        cause = "A worker neither sent nor received for ten seconds: is there a loop without end?"
        return not_yet("The workers did not finish.", at, cause=cause)
    if outcome.flooded:
        cause = "Each step sends one chunk, and there are 2 (n − 1) steps."
        return not_yet(
            f"A worker sent more than {outcome.flooded} messages and was stopped.", at, cause=cause
        )
    if outcome.stuck:
        waiting = ", ".join(map(str, outcome.stuck))
        counts = outcome.messages
        cause = (
            "Every worker waits for a message that nobody is going to send: a deadlock. In each "
            "step a worker sends first and then receives; if all receive first, all wait for ever."
        )
        if max(counts) > 0:
            cause = (
                f"They sent {max(counts)} messages each at the most and then waited for one more: "
                "a deadlock. Each receive needs a send of the worker before, in the same step, "
                "so both loops need the same number of both: n − 1."
            )
        if num_workers > 1 and len(set(counts)) > 1:
            cause = (
                f"The workers sent {counts} messages, so somebody waits for one that never comes: "
                "a deadlock. In a ring all workers do the same: no rank sends less than another."
            )
        return not_yet(f"The workers stand still: {waiting} wait in receive().", at, cause=cause)
    if any(outcome.unread):
        cause = "For every send there is a receive at the next worker, in the same step."
        return not_yet(
            f"{sum(outcome.unread)} messages were sent and never received.", at, cause=cause
        )
    return None


def _values(answer, outcome: Outcome, values, at) -> Verdict | None:
    wanted = np.mean(np.array(values, dtype=np.float64), axis=0)
    results = [as_numpy(result) for result in outcome.results]
    for rank, got in enumerate(results):
        if not isinstance(got, np.ndarray) or got.dtype.kind not in "iuf":
            words = "Your function returned None: does it end in a return?" if got is None else ""
            words = words or "Return an array of numbers, one worker's copy of the mean."
            return not_yet(
                "The result should be an array.", at, ("worker", f"{rank}"), ("got", kind(got)),
                cause=words,
            )  # fmt: skip
        if got.shape != wanted.shape:
            cause = "Every worker returns as many values as it came with, one array, 1-D."
            if got.ndim == 1 and got.size == values[0].size // len(values) * len(values):
                cause = "The values that are left over when the size is not divisible are gone."
            elif got.ndim == 1 and got.size < wanted.size:
                cause = (
                    "That is a chunk: what is missing is the all-gather, in which the finished "
                    "chunks go around the ring once more."
                )
            return not_yet(
                "The result has another shape.", at, ("worker", f"{rank}"),
                ("expected", f"shape {wanted.shape}"), ("got", f"shape {got.shape}"), cause=cause,
            )  # fmt: skip
    changed = [r for r, (a, b) in enumerate(zip(outcome.given, values, strict=True))
               if not np.array_equal(a, b)]  # fmt: skip
    tolerance = 1e-5 if values[0].dtype == np.float32 else 1e-12
    near = [np.allclose(got, wanted, rtol=tolerance, atol=tolerance * 100) for got in results]
    if not all(near):
        return _wrong_values(answer, results, values, wanted, near.index(False), at)
    if changed:
        cause = "Work on copies of the chunks: np.array_split gives views of what it cuts."
        return not_yet("The result is right, but values was changed.", at, cause=cause)
    if values[0].dtype == np.float32 and any(got.dtype != np.float32 for got in results):
        cause = "float32 came in; on the way it became another dtype, and every message twice as "
        cause += "long. np.zeros makes float64 unless told otherwise."
        return not_yet("Nearly: the values are right, the dtype is not.", at, cause=cause)
    return None


def _wrong_values(answer, results, values, wanted, rank, at) -> Verdict:
    n, got = len(values), results[rank].astype(np.float64)
    wrong = np.flatnonzero(~np.isclose(got, wanted, rtol=1e-5, atol=1e-3))
    place = int(wrong[0]) if len(wrong) else 0
    details = (
        at,
        ("worker", f"{rank}, value {place}"),
        ("expected", show(float(wanted[place]))),
        ("got", show(float(got[place]))),
    )
    rows = np.array([r.astype(np.float64) for r in results])
    array = np.array(values, dtype=np.float64)
    counts = _who_took_part(answer, n, values[0].size, rank, place)
    if counts:
        each = ", ".join(f"worker {r} {c} ×" for r, c in enumerate(counts))
        details = (*details, ("took part", f"in value {place}: {each}"))
    cause = _plain_cause(rows, array, wanted) or _counted_twice(counts)
    cause = cause or _phase_missing(rows, array, wanted) or FOLLOW
    return not_yet("The result is not the mean over the workers.", *details, cause=cause)


FOLLOW = (
    "Follow one chunk around the ring on paper. In step s of the reduce-scatter worker r sends "
    "chunk r − s and adds what comes to chunk r − s − 1; so after n − 1 steps it owns all of "
    "chunk r + 1, which is the first that it sends in the all-gather. (All modulo n.)"
)


def _plain_cause(rows, values, wanted) -> str:
    """Sums, averages, and what does not divide; empty when it is something else."""
    n, size = values.shape

    def all_near(expected) -> bool:
        return bool(np.allclose(rows, expected, rtol=1e-5, atol=1e-3))

    if all_near(wanted * n):
        return "That is the sum: divide by the number of workers, once, at the end."
    if all_near(wanted / n):
        return "It was divided by the number of workers twice."
    if all_near(values):
        return "Every worker has its own values, unchanged: nothing that came in was used."
    even = size // n * n
    if 0 < even < size and all(np.allclose(row[:even], wanted[:even], atol=1e-3) for row in rows):
        return (
            f"The first {even} values are right and the last {size - even} are not: the size is "
            "not divisible by the number of workers, and the rest belongs to a chunk as well. "
            "np.array_split deals it out."
        )
    return ""


def _counted_twice(counts: list[int]) -> str:
    """A worker's values that are in a sum more than once; empty when none are."""
    if not counts or max(counts) < 2 or max(counts) == sum(counts):
        return ""
    return (
        f"The values of worker {counts.index(max(counts))} were counted {max(counts)} times. In "
        "the second loop a chunk comes in finished: it takes the place of the old one, and is not "
        "added to it."
    )


def _phase_missing(rows, values, wanted) -> str:
    """Whether every worker has just one chunk right; empty when not."""
    n, size = values.shape
    chunks = np.array_split(np.arange(size), n)
    for factor in (1, n):
        right = np.array([[np.allclose(row[c], factor * wanted[c], atol=1e-3) for c in chunks]
                          for row in rows])  # fmt: skip
        if n > 1 and size >= n and right.sum(axis=1).max() == 1 and right.any(axis=1).all():
            return (
                "Every worker has one chunk right, and the others unfinished: that is the "
                "reduce-scatter alone. The finished chunks have to go around the ring once more, "
                "the all-gather."
            )
    return ""


def _who_took_part(answer, num_workers, size, rank, place) -> list[int]:
    """How often each worker's values are in the result, decoded from powers of BASE."""
    outcome = run_workers(answer, [np.full(size, float(BASE**r)) for r in range(num_workers)])
    if any(outcome.errors) or outcome.stuck or outcome.endless or outcome.flooded:
        return []
    results = np.array([as_numpy(result) for result in outcome.results], dtype=np.float64)
    whole = sum(BASE**r for r in range(num_workers))
    averaged = not (results == whole).any()  # a sum that is complete was not divided
    number = float(results[rank, place]) * (num_workers if averaged else 1)
    if abs(number - round(number)) > 1e-6 or not 0 < number < BASE**num_workers:
        return []
    digits = [round(number) // BASE**r % BASE for r in range(num_workers)]
    return digits if sum(digits) <= 3 * num_workers else []


def _traffic(outcome: Outcome, values, at) -> Verdict | None:
    """Nobody may send much more than 2 (n − 1) / n of the values."""
    n, size = len(values), values[0].size
    most = 2 * (n - 1) * (-(-size // n))  # chunks differ by one value
    if max(outcome.num_sent, default=0) <= most:
        return None
    rank = int(np.argmax(outcome.num_sent))
    sent = outcome.num_sent[rank]
    cause = (
        "You send whole arrays around the ring. Cut the values into n chunks, so that every link "
        "of the ring carries a different one at the same time."
    )
    if outcome.messages[rank] > 2 * (n - 1):
        cause = "There are more messages than 2 (n − 1): n − 1 steps in each of the two phases."
    return not_yet(
        "The result is right, but a ring gets by with less.",
        at,
        ("sent", f"{sent} values by worker {rank}; 2 (n − 1) / n of {size} is {most} at the most"),
        cause=cause,
    )


EXERCISE = Exercise(
    id="13.8",
    title="All-reduce around a ring",
    objective="write the algorithm that averages gradients over any number of machines",
    level=3,
    minutes=45,
    points=6,
    hints=(
        "np.array_split(values, num_workers) cuts into chunks, also when the size is not "
        "divisible. Draw three workers with three chunks each, and let only neighbours talk.",
        "Two loops of num_workers − 1 steps, and in each step one send and then one receive. In "
        "the first loop what comes in is *added* to a chunk, in the second it *replaces* one.",
        "First loop, step s: send chunk (rank − s), add what comes to chunk (rank − s − 1). Second "
        "loop: send chunk (rank + 1 − s), what comes is chunk (rank − s). All % num_workers.",
    ),
    solution=ring_all_reduce,
    examine=_examine,
)
