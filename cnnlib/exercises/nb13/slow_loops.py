"""Exercise 13.4, Seven loops, five of them slow."""

from cnnlib.exercises.findings import examine_suspects
from cnnlib.exercises.verdicts import Exercise, Verdict

CAUSES = {
    "fine": "nothing is done more often than it must be",
    "one by one": "images go through the network one at a time",
    "everything": "the whole data set is prepared anew for every batch",
    "numbers": "single numbers are fetched from tensors in great numbers",
    "twice": "each batch goes through the network a second time",
    "growing": "every step looks again at all that came before it",
    "forgotten": "the gradients are computed and then not used",
}
_RIGHT = {
    "agnes": "fine",
    "boris": "everything",
    "clara": "numbers",
    "dmitri": "one by one",
    "elena": "twice",
    "fatima": "fine",
    "george": "growing",
}
_TAKEN_FOR_FINE = {
    "boris": "Its counts are those of a loop that is well. Look at the largest input of each "
    "operator, too.",
    "clara": "Look down the whole table: one operator runs thousands of times in six steps.",
    "dmitri": "Two convolutions and six steps: how many calls of conv2d should there be?",
    "elena": "Two convolutions and six steps: how many calls of conv2d should there be, and how "
    "many backward?",
    "george": "How large is the largest input of its convolutions, when a batch has 16 images?",
}
_TAKEN_FOR_SLOW = {
    "agnes": "12 convolutions forward, 12 backward, 6 batches prepared, one number fetched, at the "
    "very end: there is nothing to save here.",
    "fatima": "It prepares all 96 images, but once and for all, before the loop; and it fetches "
    "one number. For data that fit into memory that is as good as it gets.",
}
_OTHER_CAUSE = {
    "boris": "One operator has an input with 96 images. How often does it run?",
    "clara": "The convolutions are as they should be. Which operator runs thousands of times, and "
    "on what? Count the network's parameters.",
    "dmitri": "192 = 2 · 96: what does each call have for an input?",
    "elena": "24 forward and 12 backward, all on inputs of the same size, 16 images. What is the "
    "second pass for?",
    "george": "24 forward and 12 backward, as in another loop. But what is the largest input, and "
    "what will it be after a thousand steps?",
}


def load_loops():
    """The module with the loops; it needs torch, so it is imported here."""
    from cnnlib.exercises.nb13 import loops

    return loops


def _examine(answer) -> Verdict:
    return examine_suspects(
        answer,
        _RIGHT,
        CAUSES,
        well="fine",
        one="loop",
        names_in="loops.LOOPS",
        taken_for_well=_TAKEN_FOR_FINE,
        taken_for_bad=_TAKEN_FOR_SLOW,
        other_cause=_OTHER_CAUSE,
        praise="All seven, and not one of them by its seconds: counts are the same on every "
        "machine.",
    )


EXERCISE = Exercise(
    id="13.4",
    title="Seven loops, five of them slow",
    objective="find what a loop does too often by counting instead of timing",
    level=2,
    minutes=20,
    points=4,
    hints=(
        "Print loops.table(name) for all seven and write down what it should say: 2 convolutions "
        "× 6 steps forward and backward, inputs of 16 images.",
        "Three loops differ in how often conv2d runs, or on how many images. Of the other four, "
        "one fetches far too many numbers, and one divides 96 images six times.",
    ),
    solution="findings = {\n" + "".join(f'    "{k}": "{v}",\n' for k, v in _RIGHT.items()) + "}",
    examine=_examine,
)
