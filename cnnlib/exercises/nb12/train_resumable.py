"""Exercise 12.4, Killed, and none the wiser."""

import tempfile
from pathlib import Path

from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb12.killed_runs import Log, Problem, run
from cnnlib.exercises.nb12.resumable_verdicts import (
    call_failed,
    counts,
    differing,
    goes_on,
    order_of,
    whole_run,
)
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet


def train_resumable(model, images, labels, num_epochs, seed, path, save):
    import os

    import torch
    import torch.nn.functional as F

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    done = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        order.set_state(state["order"])
        torch.set_rng_state(state["chance"])
        done = state["done"]
    for epoch in range(done, num_epochs):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - epoch / num_epochs)
        for index in torch.randperm(len(images), generator=order).split(32):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images[index]), labels[index])
            loss.backward()
            optimizer.step()
        state = {
            "model": model.state_dict(),  # parameters and buffers
            "optimizer": optimizer.state_dict(),  # the momentum
            "order": order.get_state(),
            "chance": torch.get_rng_state(),  # dropout's
            "done": epoch + 1,
        }
        part = path.with_name(path.name + ".part")
        save(state, part)
        os.replace(part, path)  # the old file or the new one, never a half


ONE = Problem("24 images, one batch an epoch, 5 epochs", "plain", 24, 5)
MANY = Problem("80 images, three batches an epoch, 4 epochs", "plain", 80, 4)
DROPOUT = Problem("a network with dropout, 40 images, 4 epochs", "dropout", 40, 4)
NORM = Problem("a network with batch norm, 40 images, 4 epochs", "batch norm", 40, 4)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    threads = torch.get_num_threads()
    temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # files may be open still
    with temporary as folder, torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)  # sums in one order, whatever the machine is doing
        try:
            for look in (_one_batch, _many_batches, _chance, _buffers, _killed_while_saving):
                if verdict := look(answer, Path(folder) / look.__name__):
                    return verdict
        finally:
            torch.set_num_threads(threads)
    return correct(
        "Killed in the middle of an epoch, twice in a row, in the first epoch and while saving; "
        "with dropout and batch norm: every bit is the same as without a kill."
    )


def _one_batch(answer, folder: Path) -> Verdict | None:
    """Weights, momentum, learning rate, and the number of the epoch."""
    whole, verdict = whole_run(answer, ONE, folder / "whole" / "run.pt", first=True)
    if verdict:
        return verdict
    path, at = folder / "once" / "run.pt", ("case", f"{ONE.says}; killed in the third epoch")
    killed = run(answer, ONE, path, kill_in_pass=3)
    if verdict := call_failed(killed, ONE, at):
        return verdict
    resumed = run(answer, ONE, path, weights=1, chance=1)
    if verdict := goes_on(resumed, whole, ONE, 2, at):
        return verdict
    path = folder / "twice" / "run.pt"
    at = ("case", f"{ONE.says}; killed in the second epoch, and again in the third")
    run(answer, ONE, path, kill_in_pass=2)
    second = run(answer, ONE, path, weights=1, chance=1, kill_in_pass=2)
    if verdict := call_failed(second, ONE, at):
        return verdict
    resumed = run(answer, ONE, path, weights=2, chance=2)
    if not resumed.error and len(resumed.passes) != 3:
        cause = (
            "After one kill all is well, after the second the count is off: the epochs that are "
            "saved as done have to be counted from the beginning of all training, not from the "
            "resume. And each epoch has to be saved, after a resume too."
        )
        return not_yet("Killed twice, it loses its place.", at, *counts(3, resumed), cause=cause)
    if verdict := goes_on(resumed, whole, ONE, 2, at):
        return verdict
    return _finished(answer, whole, folder / "whole" / "run.pt")


def _finished(answer, whole: Log, path: Path) -> Verdict | None:
    at = ("case", f"{ONE.says}; called again when all is done")
    again = run(answer, ONE, path, weights=3, chance=3)
    if verdict := call_failed(again, ONE, at):
        return verdict
    if again.passes:
        cause = "The last epoch has to be saved as done, too; then nothing is left to do."
        return not_yet("It trains on.", at, *counts(0, again), cause=cause)
    if differing(again.state, whole.state):
        cause = "Load the checkpoint into the model even if no epoch is left to train."
        return not_yet("The new model did not get the finished weights.", at, cause=cause)
    return None


def _many_batches(answer, folder: Path) -> Verdict | None:
    """The order of the images."""
    whole, verdict = whole_run(answer, MANY, folder / "whole" / "run.pt")
    if verdict:
        return verdict
    at = ("case", MANY.says)
    other = run(answer, MANY, folder / "chance" / "run.pt", chance=9)
    if order_of(other) != order_of(whole):
        cause = (
            "The order came from torch's global random numbers, or from none that has a seed. "
            "torch.randperm(N, generator=order) draws from a generator of your own."
        )
        return not_yet("Two trainings with one seed saw two orders.", at, cause=cause)
    other = run(answer, MANY, folder / "seed" / "run.pt", seed=13)
    if order_of(other) == order_of(whole):
        cause = "torch.Generator().manual_seed(seed) is what the order comes from."
        return not_yet("With another seed the order stayed the same.", at, cause=cause)
    return _killed_in(answer, whole, MANY, folder, 8, 2) or _killed_in(
        answer, whole, MANY, folder, 2, 0
    )


def _chance(answer, folder: Path) -> Verdict | None:
    """Dropout's random numbers."""
    whole, verdict = whole_run(answer, DROPOUT, folder / "whole" / "run.pt")
    return verdict or _killed_in(answer, whole, DROPOUT, folder, 6, 2)


def _buffers(answer, folder: Path) -> Verdict | None:
    """Batch norm's running statistics."""
    whole, verdict = whole_run(answer, NORM, folder / "whole" / "run.pt")
    return verdict or _killed_in(answer, whole, NORM, folder, 6, 2)


def _killed_in(answer, whole, problem, folder, number, done) -> Verdict | None:
    path, at = folder / f"pass {number}" / "run.pt", ("case", f"{problem.says}; killed in a batch "
                                                      f"of epoch {done + 1}")  # fmt: skip
    first = run(answer, problem, path, kill_in_pass=number)
    if verdict := call_failed(first, problem, at):
        return verdict
    resumed = run(answer, problem, path, weights=int(done > 0), chance=1)
    return goes_on(resumed, whole, problem, done, at)


def _killed_while_saving(answer, folder: Path) -> Verdict | None:
    whole = run(answer, ONE, folder / "whole" / "run.pt")
    for done, words in ((2, "third"), (0, "first")):
        path = folder / f"{done} done" / "run.pt"
        at = ("case", f"{ONE.says}; killed in the {words} save, with half of the file written")
        first = run(answer, ONE, path, kill_in_save=done + 1)
        if verdict := call_failed(first, ONE, at):
            return verdict
        resumed = run(answer, ONE, path, weights=int(done > 0), chance=1)
        lost = resumed.error or (done and len(resumed.passes) == ONE.num_epochs)
        if lost and not (resumed.error and path.exists() is False):
            found = ("then", f"{type(resumed.error).__name__}" if resumed.error else
                     "it began from the start")  # fmt: skip
            cause = (
                "The good checkpoint was gone while the new one was half written. Write the new "
                "one beside it, under another name, and when it is whole put it in its place with "
                "os.replace, which happens all at once or not at all."
            )
            return not_yet("A kill while saving costs the whole training.", at, found, cause=cause)
        if verdict := goes_on(resumed, whole, ONE, done, at):
            return verdict
    return None


EXERCISE = Exercise(
    id="12.4",
    title="Killed, and none the wiser",
    objective="write a training loop that a kill at any moment cannot change",
    level=3,
    minutes=50,
    points=7,
    hints=(
        "What does the next step depend on, apart from the images? List everything that changes "
        "during training, in the model, the optimizer, the loop and the random numbers.",
        "Five things: model.state_dict(), optimizer.state_dict(), the number of finished epochs, "
        "order.get_state() and torch.get_rng_state(). Load all five before the first epoch that "
        "is left; compute the learning rate from the epoch's number.",
        'For the kill while saving: part = path.with_name(path.name + ".part"), save(state, part), '
        "os.replace(part, path). Whoever looks at path sees the old file or the new one.",
    ),
    solution=train_resumable,
    examine=_examine,
)
