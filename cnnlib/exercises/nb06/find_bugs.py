"""Exercise 06.9, Find the bugs."""

from cnnlib.exercises.findings import examine_suspects
from cnnlib.exercises.verdicts import Exercise, Verdict

CAUSES = {
    "right": "the backward pass is right",
    "upstream": "grad_out is not used",
    "mean": "a mean stands where a sum belongs",
    "path": "a way from an input to an output is forgotten",
    "overwritten": "gradients that meet overwrite each other",
    "turned": "a kernel is the wrong way round",
    "array": "a mask or a slope is taken from the wrong array",
    "remainder": "rows or columns at the end are left out",
}

_ANSWER = {
    "scale_and_shift": "mean",
    "leaky_relu": "right",
    "softmax": "path",
    "swish": "right",
    "squared_error": "upstream",
    "max_pool": "overwritten",
    "convolve": "turned",
}

_TAKEN_FOR_RIGHT = {
    "scale_and_shift": "Three inputs have three gradients, and not all of them agree with "
    "differences. Does your checker look at every input, or stop after the first?",
    "softmax": "Does your checker use a random upstream gradient, another number for every output?",
    "squared_error": "Its output is one number. With an upstream gradient of 1 this backward pass "
    "is right; with 2 it is not. Does your checker draw it at random?",
    "max_pool": "Nearly all of its entries are right. Does your checker compare every one?",
    "convolve": "One of its two gradients agrees with differences. What of the other?",
}
_TAKEN_FOR_WRONG = {
    "leaky_relu": "One of its values is exactly 0, where the function has a kink: slope 0.1 to the "
    "left, 1 to the right, and 0.55 in the mean of the two. Everywhere else it agrees.",
    "swish": "It looks strange, but its gradients agree with differences to the tenth digit. "
    "Trust your checker more than your eye.",
}
_OTHER_CAUSE = {
    "scale_and_shift": "Divide the gradient that is wrong by the one that differences give: is "
    "the ratio the same for every entry, and which number in the shapes is it?",
    "softmax": "Compare with a gradient of one output at a time. Which inputs move an output, and "
    "which does the backward pass let it hear of?",
    "squared_error": "Ask it for its gradients with grad_out 1, and then 2. What changes?",
    "max_pool": "Print where the two gradients differ. In how many windows does that pixel win?",
    "convolve": "Give the kernel the numbers 1 to 9, a single output a gradient of 1, and look at "
    "the stamp that it leaves.",
}


def _examine_findings(answer) -> Verdict:
    return examine_suspects(
        answer,
        _ANSWER,
        CAUSES,
        well="right",
        one="function",
        names_in="SUSPECTS",
        taken_for_well=_TAKEN_FOR_RIGHT,
        taken_for_bad=_TAKEN_FOR_WRONG,
        other_cause=_OTHER_CAUSE,
        praise="5 bugs found and explained, 2 right ones let go.",
    )


EXERCISE = Exercise(
    id="06.9",
    title="Find the bugs",
    objective="find mistakes in backward passes with a checker, and say what they are",
    level=2,
    minutes=25,
    points=5,
    hints=(
        "for name, suspect in SUSPECTS.items(): print(name, ops.check_gradients(suspect.forward, "
        "suspect.inputs, backward=suspect.backward)). The report names the worst entry, and counts "
        "the kinks.",
        "For the five that are wrong, print backward's gradient and the one by differences side "
        "by side: is all of it wrong, or one input's, or a single entry? By what factor?",
        "Two are right. One looks at home in a textbook, the other does not. Of the bugs, one is a "
        "ratio of 4, one a stamp turned about, and one shows only where two windows meet.",
    ),
    solution="findings = {\n"
    + "".join(f'    "{name}": "{cause}",\n' for name, cause in _ANSWER.items())
    + "}",
    examine=_examine_findings,
)
