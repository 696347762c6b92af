"""For exercises that ask what is wrong with each of several things: verdicts on a dictionary."""

from collections.abc import Mapping

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.verdicts import Verdict, correct, not_attempted, not_yet


def examine_diagnosis(
    answer: object,
    right: dict[str, str],
    causes: Mapping[str, str],
    clues: Mapping[str, str],
    *,
    praise: str,
) -> Verdict:
    """One cause for each letter, each cause once: the first wrong one is named, with a clue.

    Args:
        answer: what the learner wrote, {"A": "fine", …}.
        right: letter -> cause.
        causes: the words to choose from -> what they mean.
        clues: the right cause -> what to look at.
        praise: said when all are right.
    """
    if answer is None or answer is Ellipsis:
        return not_attempted()
    wanted = 'Write a dictionary with a cause for each letter, such as {"A": "fine", …}.'
    if not isinstance(answer, Mapping):
        return not_yet(wanted, cause=f"A dictionary is wanted; this is {kind(answer)}.")
    given = {str(k).strip().upper(): v for k, v in answer.items()}
    missing = [letter for letter in right if letter not in given]
    if missing or len(given) > len(right):
        letters = f"There are {len(right)} runs, {min(right)} to {max(right)}."
        cause = f"Missing: {', '.join(missing)}." if missing else letters
        return not_yet(wanted, ("got", show(answer)), cause=cause)
    given = {k: v.strip().lower() if isinstance(v, str) else v for k, v in given.items()}
    unknown = [v for v in given.values() if not isinstance(v, str) or v not in causes]
    if unknown:
        cause = f"Choose among {', '.join(causes)}; {show(unknown[0])} is none of them."
        return not_yet(wanted, cause=cause)
    wrong = [letter for letter, cause in right.items() if given[letter] != cause]
    if not wrong:
        return correct(praise)
    letter = wrong[0]
    twice = sorted({v for v in given.values() if list(given.values()).count(v) > 1})
    once = f" ({', '.join(twice)} was given more than once; each cause occurs once.)" * bool(twice)
    return not_yet(
        f"{len(right) - len(wrong)} of {len(right)} are right. Look at run {letter} again.",
        ("yours", f'{letter}: "{given[letter]}", {causes[given[letter]]}'),
        cause=f"Run {letter}: {clues[right[letter]]}.{once}",
    )


def examine_suspects(
    answer: object,
    right: dict[str, str],
    causes: Mapping[str, str],
    *,
    well: str,
    one: str,
    names_in: str,
    taken_for_well: Mapping[str, str],
    taken_for_bad: Mapping[str, str],
    other_cause: Mapping[str, str],
    praise: str,
) -> Verdict:
    """First which of the things are well, then what ails the others: one thing at a time is named.

    Args:
        answer: what the learner wrote, {name: word, …}.
        right: name -> word; `well` for those that nothing ails.
        causes: the words to choose from -> what they mean.
        well: the word for a thing that is as it should be.
        one: what one of the things is called in a message, "function".
        names_in: the name of the collection that the notebook shows.
        taken_for_well, taken_for_bad, other_cause: name -> what to look at after that mistake.
        praise: said when all are right.
    """
    if answer is None or answer is Ellipsis:
        return not_attempted()
    if not isinstance(answer, Mapping):
        wanted = f'{{"{next(iter(right))}": "{well}", …}}'
        return not_yet(
            "",
            ("got", kind(answer)),
            cause=f"A dictionary is wanted: {wanted}, with one of the words of CAUSES for each "
            f"{one}.",
        )
    missing = [name for name in right if name not in {n for n in answer if isinstance(n, str)}]
    unknown = [show(name) for name in answer if not isinstance(name, str) or name not in right]
    if missing or unknown:
        parts = [("missing", ", ".join(missing))] if missing else []
        parts += [(f"not one of the {len(right)}", ", ".join(unknown))] if unknown else []
        return not_yet("", *parts, cause=f"The keys are the {len(right)} names of {names_in}.")
    found = {name: answer[name] for name in right}
    for name, word in found.items():
        if not isinstance(word, str) or word not in causes:
            choice = f"Choose one of these words: {', '.join(causes)}."
            return not_yet("", (one, name), ("got", show(word)), cause=choice)
    misjudged = [name for name in right if (found[name] == well) != (right[name] == well)]
    if misjudged:
        name = misjudged[0]
        table = taken_for_well if found[name] == well else taken_for_bad
        return not_yet(
            f"{len(right) - len(misjudged)} of {len(right)} are rightly called {well} or not. One "
            "that is not:",
            (one, f"{name}, which you call {show(found[name])}"),
            cause=table[name],
        )
    bad = [name for name in right if right[name] != well]
    other = [name for name in bad if found[name] != right[name]]
    if other:
        name = other[0]
        return not_yet(
            f"You know which are {well}, and have found {len(bad) - len(other)} of {len(bad)} "
            "causes. One that is something else:",
            (one, f"{name}: {causes[found[name]]}"),
            cause=other_cause[name],
        )
    return correct(praise)
