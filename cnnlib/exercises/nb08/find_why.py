"""Exercise 08.5, Seven patients."""

from cnnlib.exercises.findings import examine_suspects
from cnnlib.exercises.verdicts import Exercise, Verdict

CAUSES = {
    "healthy": "nothing is wrong with it",
    "unseen": "the model does not know of some of its layers",
    "cut": "the graph is interrupted, and no gradient reaches some parameters",
    "piled up": "the gradients of former steps are still there",
    "stranger": "the optimizer holds parameters that the model does not use",
    "frozen": "some parameters do not require a gradient",
    "squashed": "the scores are squashed before a loss that does so itself",
    "uphill": "the step goes up instead of down",
}

_ANSWER = {
    "ada": "unseen",
    "ben": "piled up",
    "cleo": "healthy",
    "dev": "cut",
    "eva": "stranger",
    "finn": "squashed",
    "gil": "healthy",
}

_TAKEN_FOR_HEALTHY = {
    "ada": "Something in it is trained. Count: how many convolutions does its "
    "forward use, and how many are among named_parameters()?",
    "ben": "Print the norm of a gradient at each step, on one and the same batch. Does it follow "
    "the loss?",
    "dev": "Its loss falls, since something is trained. After one step, which parameters still "
    "have .grad None?",
    "eva": "Its loss falls, since something is trained. Keep a copy of every parameter, take a "
    "step, and see which have moved.",
    "finn": "Every parameter moves. But look at the numbers that come out for one image, and at "
    "how low its loss can possibly get.",
}
_TAKEN_FOR_SICK = {
    "cleo": "Its gradients do add up within one step, over two halves of the batch, each with half "
    "the loss: together that is the gradient of the whole batch. And a layer that is used "
    "three times has one set of weights.",
    "gil": "It has no optimizer and needs none: it asks for the gradients, which come fresh each "
    "time, and steps by hand under no_grad. Every parameter moves, and the loss falls.",
}
_OTHER_CAUSE = {
    "ada": "Print [name for name, _ in model.named_parameters()], and read its __init__ again.",
    "ben": "Give it the same batch twice, and compare the two gradients.",
    "dev": "After one step, print the parameters' .grad: some are None. Between them and the loss "
    "something turns a tensor into plain numbers.",
    "eva": "Compare which parameters have a .grad with which have moved. Then read in what order "
    "it was put together.",
    "finn": "Print what the model gives for one image, and its sum.",
}


def load_patients() -> dict:
    """The seven patients by name; their module needs torch, so it is imported here."""
    from cnnlib.exercises.nb08.patients import PATIENTS

    return PATIENTS


def _examine(answer) -> Verdict:
    return examine_suspects(
        answer,
        _ANSWER,
        CAUSES,
        well="healthy",
        one="patient",
        names_in="PATIENTS",
        taken_for_well=_TAKEN_FOR_HEALTHY,
        taken_for_bad=_TAKEN_FOR_SICK,
        other_cause=_OTHER_CAUSE,
        praise="5 causes found, 2 let go in good health.",
    )


EXERCISE = Exercise(
    id="08.5",
    title="Seven patients",
    objective="find out why a network does not train, by asking it and not by reading alone",
    level=2,
    minutes=25,
    points=5,
    hints=(
        "For each: model, step = make(). Copy all parameters, take one step, and print which have "
        "a .grad and which have moved. That finds three of the five.",
        "For the others: take three steps on the same batch and print the norm of the gradient "
        "each time; and look at the output for one image.",
        "Two are in good health, one of them adds gradients up on purpose. Of the sick, one has a "
        "list, one makes arrays of its tensors, one was operated on too late, one has a layer "
        "too many.",
    ),
    solution="diagnoses = {\n"
    + "".join(f'    "{name}": "{cause}",\n' for name, cause in _ANSWER.items())
    + "}",
    examine=_examine,
)
