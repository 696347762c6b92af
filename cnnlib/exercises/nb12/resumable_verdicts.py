"""Exercise 12.4: what a watched run of the loop tells, and what the learner reads of it."""

from pathlib import Path

from cnnlib.exercises.nb12.killed_runs import BATCH, Log, Problem, run
from cnnlib.exercises.nb12.resumable_reference import cause_of_step, cause_of_training
from cnnlib.exercises.verdicts import Verdict, not_attempted, not_yet, raised


def whole_run(
    answer, problem: Problem, path: Path, first: bool = False
) -> tuple[Log, Verdict | None]:
    """A run without a kill, and the verdict on it."""
    log, at = run(answer, problem, path), ("case", f"{problem.says}, no kill")
    if first and isinstance(log.error, NotImplementedError) and not log.passes:
        return log, not_attempted()
    verdict = call_failed(log, problem, at) or _batches(log, problem, at)
    if not verdict and problem.kind == "plain" and (cause := cause_of_training(problem, log)):
        verdict = not_yet("The weights at the end are not the reference's.", at, cause=cause)
    return log, verdict or _saved(log, problem, path, at)


def call_failed(log: Log, problem: Problem, at) -> Verdict | None:
    if log.impure:
        cause = (
            "torch.load with weights_only=True reads no objects of other kinds, because reading "
            "one runs code that came with the file. Save what the object knows: state_dict() of "
            "model and optimizer, get_state() of a generator, plain numbers."
        )
        return not_yet("The checkpoint is more than plain data.", at, ("found", log.impure),
                       cause=cause)  # fmt: skip
    if log.elsewhere:
        cause = (
            "Another folder may be another disk, and from disk to disk os.replace cannot rename. "
            'Write beside it: path.with_name(path.name + ".part").'
        )
        return not_yet("The file is written in another folder than path.", at, cause=cause)
    if log.survived:
        cause = (
            "Something caught what stopped it, a bare except: or a finally:. A killed process "
            "does neither: nothing can be saved at the last moment."
        )
        return not_yet("Killed, your loop went on.", at, cause=cause)
    if log.endless:
        most = problem.num_batches * problem.num_epochs
        cause = f"{most} are enough: as many as there are batches, num_epochs times."
        return not_yet("There are far too many forward passes.", at, cause=cause)
    return raised(log.error, at, attempted=True) if log.error else None


def _batches(log: Log, problem: Problem, at) -> Verdict | None:
    """The verdict on which images were seen, in which batches."""
    N, b, E = problem.num_images, problem.num_batches, problem.num_epochs
    sizes = [len(ids) for ids in order_of(log)]
    wanted = [min(BATCH, N - start) for start in range(0, N, BATCH)] * E
    pair = ("expected batches of", _several(wanted)), ("got", _several(sizes))
    if not sizes:
        cause = "Call model(images[index]) for each batch, num_epochs times."
        return not_yet("No image went through the model.", at, cause=cause)
    if sizes != wanted:
        cause = "ceil(N / 32) batches in each of num_epochs epochs, one forward pass each."
        if sizes == [s for s in wanted if s == BATCH] and N > BATCH:
            cause = "The last, smaller batch of each epoch is missing."
        elif sizes == [N] * E:
            cause = "All images go through in one batch; 32 at a time were asked for."
        elif len(sizes) == 2 * len(wanted):
            cause = "The model is called twice for each batch: keep the logits of the first call."
        return not_yet("The batches have other sizes.", at, *pair, cause=cause)
    epochs = [sum(order_of(log)[k * b : k * b + b], ()) for k in range(E)]
    if any(sorted(order) != list(range(N)) for order in epochs):
        cause = "torch.randperm gives each index once; torch.randint draws some twice, some never."
        return not_yet("An epoch does not show every image once.", at, cause=cause)
    if epochs[0] == tuple(range(N)):
        cause = "The images come as they lie; shuffle them anew in each epoch."
        return not_yet("The order is not random.", at, cause=cause)
    if len(set(epochs)) < E:
        cause = "Draw torch.randperm inside the loop over the epochs, and seed the generator once."
        return not_yet("Several epochs have the same order.", at, cause=cause)
    return None


def _saved(log: Log, problem: Problem, path: Path, at) -> Verdict | None:
    due = [problem.num_batches * (k + 1) for k in range(problem.num_epochs)]
    if missing := [k + 1 for k, passes in enumerate(due) if passes not in log.saves]:
        cause = "Call save(state, file) at the end of each epoch, inside the loop."
        if not log.saves:
            cause = "save is an argument of your function: use it in place of torch.save."
        said = "no save" if not log.saves else f"none after epoch {_several(missing)}"
        return not_yet("There should be a save after every epoch.", at, ("got", said), cause=cause)
    if not path.is_file():
        cause = "The finished file belongs at path itself: os.replace(part, path) after the save."
        return not_yet("There is no file at path.", at, cause=cause)
    return None


def goes_on(resumed: Log, whole: Log, problem: Problem, done: int, at) -> Verdict | None:
    """The verdict on a run that was to go on after `done` epochs as if nothing had happened."""
    if verdict := call_failed(resumed, problem, at):
        return verdict
    begin = done * problem.num_batches
    if verdict := _wrong_count(resumed, whole, problem, done, at):
        return verdict
    if names := differing(resumed.states[0], whole.states[begin]):
        return _not_restored(names, resumed, problem, at)
    if order_of(resumed) != order_of(whole)[begin:]:
        cause = _cause_of_order(order_of(resumed), order_of(whole), begin, problem)
        return not_yet("After the resume the images come in another order.", at, cause=cause)
    for number, (got, expected) in enumerate(
        zip(resumed.states[1:], whole.states[begin + 1 :], strict=True)
    ):
        if names := differing(got, expected):
            return _wrong_step(names, resumed, whole, problem, done, number, at)
    return None


def _cause_of_order(got, whole, begin: int, problem: Problem) -> str:
    b = problem.num_batches
    if got[:b] == whole[:b]:
        return (
            "The order of the first epoch came again: a generator that is seeded anew begins "
            "anew. Save order.get_state(), and set_state it."
        )
    if got[:b] == whole[begin - b : begin]:
        return (
            "The order of the last finished epoch came again: its generator's state was saved "
            "from before it was drawn. get_state() belongs to the end of the epoch."
        )
    return "The generator's state was not restored: save order.get_state(), and set_state it."


def _wrong_step(names, resumed, whole, problem, done, number, at) -> Verdict:
    cause = ""
    if problem.kind == "dropout":
        cause = (
            "Dropout drew other values than it would have without the kill. It draws from torch's "
            "global random numbers: save torch.get_rng_state(), and torch.set_rng_state it."
        )
    elif problem.kind == "plain":
        cause = cause_of_step(problem, whole, resumed, done, number)
    gap = max(float((resumed.state[n] - whole.state[n]).abs().max()) for n in resumed.state)
    epoch, batch = divmod(done * problem.num_batches + number, problem.num_batches)
    return not_yet(
        "The weights at the end are not those of a training without a kill.",
        at,
        ("first difference", f"after batch {batch + 1} of epoch {epoch + 1}, in {names[0]}"),
        ("largest difference at the end", f"{gap:.1e}"),
        cause=cause or "Up to there all is equal. What else does a step depend on?",
    )


def _not_restored(names, resumed, problem, at) -> Verdict:
    state = resumed.states[0]
    cause = "They are those of another moment: save after the epoch's last step, and load before "
    cause += "the first."
    if all("running" in name or "tracked" in name for name in names):
        cause = (
            "The parameters are right, batch norm's running statistics are not. They are buffers: "
            "model.state_dict() holds them, model.parameters() does not."
        )
    elif not differing(state, resumed.began):
        cause = "The new model's first weights were trained on: load_state_dict is missing."
    return not_yet("After the resume the model begins with other weights.", at,
                   ("wrong", ", ".join(names)), cause=cause)  # fmt: skip


def _wrong_count(resumed: Log, whole: Log, problem: Problem, done: int, at) -> Verdict | None:
    b, E = problem.num_batches, problem.num_epochs
    wanted, got = (E - done) * b, len(resumed.passes)
    if got == wanted:
        return None
    fresh = got and not differing(resumed.states[0], resumed.began)
    cause = "The epoch that was under way is done again from its beginning, and those after it."
    if got == E * b and fresh:
        cause = "It began from the start, with the new model's weights. Is the file at path read?"
    elif got == E * b:
        cause = "The weights were read, but all epochs are done again: begin at the saved one."
    elif got == wanted + b:
        cause = (
            "One epoch too many: the last finished one is done again. Save how many are "
            "*finished*, epoch + 1."
        )
    elif got == wanted - b:
        cause = "One epoch too few: the one that was under way when the kill came is left out."
    elif got == 0:
        cause = "Nothing is trained after the resume: the kill came before the end."
    return not_yet("After the resume the number of batches is wrong.", at,
                   *counts(wanted, resumed), cause=cause)  # fmt: skip


def counts(wanted: int, log: Log) -> tuple:
    return ("expected", f"{wanted} forward passes"), ("got", f"{len(log.passes)}")


def order_of(log: Log) -> list[tuple[int, ...]]:
    return [ids for ids, _ in log.passes]


def differing(state: dict, other: dict) -> list[str]:
    import torch

    return [name for name, value in other.items() if not torch.equal(state[name], value)]


def _several(numbers: list[int]) -> str:
    shown = ", ".join(str(n) for n in numbers[:8])
    return f"{shown}, …" if len(numbers) > 8 else shown
