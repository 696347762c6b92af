"""Exercise 07.8, Adam, from its paper."""

from functools import partial

import numpy as np

from cnnlib.exercises.nb07.steps import Arrays, Run, copied, examine_steps, random_run
from cnnlib.exercises.verdicts import Exercise, Misconception


def adam_step(parameters, gradients, mean, square, step, lr, betas=(0.9, 0.999), eps=1e-8):
    beta1, beta2 = betas
    for name, parameter in parameters.items():
        mean[name] *= beta1
        mean[name] += (1 - beta1) * gradients[name]
        square[name] *= beta2
        square[name] += (1 - beta2) * gradients[name] ** 2
        # Both started at zero; after `step` steps they hold only this part of the whole.
        unbiased_mean = mean[name] / (1 - beta1**step)
        unbiased_square = square[name] / (1 - beta2**step)
        parameter -= lr * unbiased_mean / (np.sqrt(unbiased_square) + eps)


def by_history(run: Run) -> list[Arrays]:
    """The parameters after each step, as torch.optim.Adam has them (the tests compare the two).

    Written without running means: both are weighted means over all steps so far, the weights
    beta^age, divided by their sum. That is what the corrections amount to.
    """
    betas, eps = run.settings.get("betas", (0.9, 0.999)), run.settings.get("eps", 1e-8)
    weights, after = copied(run.parameters), []
    for number, lr in enumerate(run.lrs, start=1):
        ages = np.arange(number)[::-1]
        for name in weights:
            history = np.stack([g[name] for g in run.gradients[:number]])
            mean, square = (
                np.average(values, axis=0, weights=beta**ages)
                for beta, values in zip(betas, (history, history**2), strict=True)
            )
            weights[name] = weights[name] - lr * mean / (np.sqrt(square) + eps)
        after.append(copied(weights))
    return after


def _variant(fault, p, g, mean, square, step, lr, betas=(0.9, 0.999), eps=1e-8):
    """adam_step with one fault."""
    beta1, beta2 = betas[::-1] if fault == "exchanged" else betas
    for k in p:
        if fault == "sum":
            mean[k][...] = beta1 * mean[k] + g[k]
        else:
            mean[k][...] = beta1 * mean[k] + (1 - beta1) * g[k]
        squared = np.abs(g[k]) if fault == "not squared" else g[k] ** 2
        square[k][...] = beta2 * square[k] + (1 - beta2) * squared
        n = step + 1 if fault == "from two" else step
        top = mean[k] if fault in ("uncorrected", "square only") else mean[k] / (1 - beta1**n)
        under = square[k] if fault in ("uncorrected", "mean only") else square[k] / (1 - beta2**n)
        if fault == "product":
            top, under = mean[k] / (1 - beta1 * n), square[k] / (1 - beta2 * n)
        if fault == "once":
            mean[k][...], square[k][...] = top, under  # the corrected ones are carried on
        if fault == "no root":
            p[k] -= lr * top / (under + eps)
        elif fault == "eps inside":
            p[k] -= lr * top / np.sqrt(under + eps)
        elif fault == "eps early":
            p[k] -= (
                lr
                * np.sqrt(1 - beta2**step)
                / (1 - beta1**step)
                * mean[k]
                / (np.sqrt(square[k]) + eps)
            )
        elif fault == "uphill":
            p[k] += lr * top / (np.sqrt(under) + eps)
        elif fault == "no mean":
            p[k] -= lr * g[k] / (np.sqrt(under) + eps)
        else:
            p[k] -= lr * top / (np.sqrt(under) + eps)


_SAYS = {
    "uncorrected": "Neither of the running means is corrected: they start at zero, so the first "
    "ones are too small. Divide by 1 − beta ** step.",
    "mean only": "The running mean of the squares is not corrected: divide it by 1 − beta2 ** "
    "step before the root.",
    "square only": "The running mean of the gradient is not corrected: divide it by 1 − beta1 ** "
    "step.",
    "once": "The corrected means were stored. Keep the plain ones; the correction is made anew in "
    "each step, for that step only.",
    "from two": "The correction is one step ahead: `step` is 1 in the first step already.",
    "product": "1 − beta ** step is meant, a power; you have a product.",
    "eps inside": "eps stands inside the root; it is added after it.",
    "eps early": "eps is added before the correction of the squares. The paper's short form does "
    "that (with another eps); torch adds it to the corrected root.",
    "no root": "The step is divided by the mean square itself; its root is meant.",
    "not squared": "The second mean is that of the squares of the gradients, number by number.",
    "sum": "The first mean has no (1 − beta1) before the gradient: that is SGD's velocity, a sum.",
    "no mean": "The step uses the gradient of this batch only; its running mean is meant.",
    "uphill": "The step goes uphill: subtract.",
    "exchanged": "beta1 belongs to the mean of the gradients, beta2 to that of their squares.",
}


def _runs() -> list[Run]:
    layer = {"0.weight": (2, 1, 3, 3), "0.bias": (2,)}
    return [
        random_run("the first step", {"w": (3,)}, [0.5], 11),
        random_run("three steps", {"w": (2,)}, [0.5] * 3, 22),
        random_run("a large eps", {"w": (3,)}, [0.5] * 2, 13, eps=0.3),
        random_run("other betas", layer, [0.01] * 10, 14, betas=(0.6, 0.95)),
        random_run("a changing learning rate", {"a": (4, 3), "b": (3,)}, [0.1, 0.05, 0.2], 15),
    ]


EXERCISE = Exercise(
    id="07.8",
    title="Adam, from its paper",
    objective="implement an optimizer from the algorithm in its paper, to the last digit",
    level=3,
    minutes=25,
    points=4,
    hints=(
        "Two running means, of the gradient and of its square, both in place: "
        "m = beta1 · m + (1 − beta1) · g, and the same with beta2 and g².",
        "Both start at zero. After t steps the weights in the sum add up to 1 − beta ** t only; "
        "dividing by that number mends it. The stored means stay as they are.",
        "parameter -= lr * m_corrected / (np.sqrt(v_corrected) + eps)",
    ),
    solution=adam_step,
    examine=partial(
        examine_steps,
        runs=_runs,
        oracle=by_history,
        misconceptions=tuple(
            Misconception(partial(_variant, fault), says) for fault, says in _SAYS.items()
        ),
        num_buffers=2,
        numbered=True,
    ),
)
