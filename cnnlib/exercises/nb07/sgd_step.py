"""Exercise 07.2, One step of SGD."""

from functools import partial

from cnnlib.exercises.nb07.steps import Arrays, Run, copied, examine_steps, random_run
from cnnlib.exercises.verdicts import Exercise, Misconception


def sgd_step(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    for name, parameter in parameters.items():
        velocity[name] *= momentum
        velocity[name] += gradients[name] + weight_decay * parameter
        parameter -= lr * velocity[name]


def by_history(run: Run) -> list[Arrays]:
    """The parameters after each step, as torch.optim.SGD has them (the tests compare the two).

    Written without a velocity: step t moves by lr · Σ momentum^(t − s) · (gradient + decay) of all
    steps s so far. (torch's own optimizer takes seconds to be imported.)
    """
    momentum, decay = run.settings.get("momentum", 0.0), run.settings.get("weight_decay", 0.0)
    weights, history, after = copied(run.parameters), [], []
    for gradients, lr in zip(run.gradients, run.lrs, strict=True):
        history.append({name: gradients[name] + decay * w for name, w in weights.items()})
        for name in weights:
            shares = [momentum**age * g[name] for age, g in enumerate(reversed(history))]
            weights[name] = weights[name] - lr * sum(shares)
        after.append(copied(weights))
    return after


def _formula(rule):
    """A wrong answer that treats each parameter by `rule(w, g, v, lr, beta, decay) -> (w, v)`."""

    def answer(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
        for k, w in parameters.items():
            new_w, new_v = rule(w, gradients[k], velocity[k], lr, momentum, weight_decay)
            w[...], velocity[k][...] = new_w, new_v

    return answer


def _plain(w, g, v, lr, beta, decay):
    return w - lr * (g + decay * w), v


def _uphill(w, g, v, lr, beta, decay):
    v = beta * v + g + decay * w
    return w + lr * v, v


def _no_decay(w, g, v, lr, beta, decay):
    v = beta * v + g
    return w - lr * v, v


def _decay_outside(w, g, v, lr, beta, decay):
    v = beta * v + g
    return w - lr * (v + decay * w), v


def _decay_wrong_sign(w, g, v, lr, beta, decay):
    v = beta * v + g - decay * w
    return w - lr * v, v


def _running_mean(w, g, v, lr, beta, decay):
    v = beta * v + (1 - beta) * (g + decay * w)
    return w - lr * v, v


def _lr_inside(w, g, v, lr, beta, decay):
    """Right as long as the learning rate stays the same."""
    v = beta * v + lr * (g + decay * w)
    return w - v, v


def _old_velocity(w, g, v, lr, beta, decay):
    return w - lr * v, beta * v + g + decay * w


def _nesterov(w, g, v, lr, beta, decay):
    g = g + decay * w
    v = beta * v + g
    return w - lr * (g + beta * v), v


_WRONG = (
    Misconception(
        _formula(_uphill),
        "The step goes uphill: the gradient points to where the loss grows, so it is subtracted.",
    ),
    Misconception(
        _formula(_plain),
        "The velocity has no effect: it should be momentum times the old one plus the gradient, "
        "and the parameter moves by lr times the velocity.",
    ),
    Misconception(_formula(_no_decay), "weight_decay was not used: it adds weight_decay · w to g."),
    Misconception(
        _formula(_decay_outside),
        "The weight decay does not go through the velocity. In torch's SGD it is added to the "
        "gradient first. (Kept apart it is another method, known from AdamW.)",
    ),
    Misconception(
        _formula(_decay_wrong_sign),
        "The weight decay has the wrong sign: it should pull weights towards 0.",
    ),
    Misconception(
        _formula(_running_mean),
        "Your velocity is a running mean, with (1 − momentum) before the gradient. torch's is a "
        "running sum: the gradient comes in with its full size.",
    ),
    Misconception(
        _formula(_lr_inside),
        "The learning rate stands inside your velocity. With a constant lr that is the same; here "
        "it changes on the way, and torch's velocity does not know the learning rate.",
    ),
    Misconception(
        _formula(_old_velocity),
        "The parameter moved by the old velocity: bring the velocity up to date first.",
    ),
    Misconception(
        _formula(_nesterov), "This is Nesterov's momentum; plain momentum was asked for."
    ),
)


def _runs() -> list[Run]:
    layer = {"0.weight": (2, 1, 3, 3), "0.bias": (2,)}
    return [
        random_run("one plain step", {"w": (3,)}, [0.5], 1),
        random_run("two steps with momentum", {"w": (3,)}, [0.5, 0.5], 2, momentum=0.5),
        random_run("weight decay", {"w": (2,)}, [0.5], 4, weight_decay=0.2),
        random_run("both", layer, [0.1] * 5, 5, momentum=0.9, weight_decay=0.05),
        random_run(
            "a learning rate that changes on the way",
            {"0.weight": (3, 2), "1.weight": (1, 3)}, [0.2, 0.1, 0.05, 0.4], 6, momentum=0.8,
        ),
    ]  # fmt: skip


EXERCISE = Exercise(
    id="07.2",
    title="One step of SGD",
    objective="update all parameters of a network in place, with momentum and weight decay",
    level=1,
    minutes=15,
    points=2,
    hints=(
        "For each name: the gradient, plus weight_decay times the parameter. That sum enters the "
        "velocity, and the velocity moves the parameter.",
        "velocity = momentum · velocity + gradient; parameter = parameter − lr · velocity. Every "
        "one of these has to happen inside the arrays that you were given.",
        "velocity[name] *= momentum, then velocity[name] += gradients[name] + weight_decay * "
        "parameter, then parameter -= lr * velocity[name].",
    ),
    solution=sgd_step,
    examine=partial(
        examine_steps,
        runs=_runs,
        oracle=by_history,
        misconceptions=_WRONG,
        num_buffers=1,
    ),
)
