"""Exercise 08.6, The shape table of any network."""

from dataclasses import replace

from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.nb08.cases import adapted, name_parts, on_tensors
from cnnlib.exercises.nb08.layer_table_cases import cases, nested
from cnnlib.exercises.verdicts import Exercise, Misconception, Verdict, not_yet


def layer_table(model, images):
    import torch

    names, rows, counted = {m: name for name, m in model.named_modules()}, [], set()

    def note(module, inputs, output):
        new = {id(p): p.numel() for p in module.parameters() if id(p) not in counted}
        counted.update(new)
        kind = type(module).__name__
        rows.append((names[module], kind, tuple(output.shape), sum(new.values())))

    layers = [module for module in names if not any(module.children())]
    handles = [layer.register_forward_hook(note) for layer in layers]
    modes = {module: module.training for module in names}
    try:
        model.eval()
        with torch.no_grad():
            model(images)
    finally:  # also when the images do not fit
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    return rows, sum(parameter.numel() for parameter in model.parameters())


def _by_patching(model, images):
    """Every leaf's own forward is wrapped, in place of a hook."""
    import torch

    rows, counted = [], set()
    names = {module: name for name, module in model.named_modules()}

    def wrap(module):
        forward = module.forward

        def watched(*args):
            output = forward(*args)
            own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
            counted.update(map(id, own))
            number = sum(p.numel() for p in own)
            rows.append((names[module], type(module).__name__, tuple(output.shape), number))
            return output

        module.forward = watched

    for module in names:
        if not list(module.children()):
            wrap(module)
    with torch.no_grad():
        model.eval()(images)
    return rows, sum({id(p): p.numel() for p in model.parameters()}.values())


def _plain(answer, model, images):
    """Rows as tuples, whatever kind of sequence or shape they came as."""
    result = answer(model, images)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return result
    rows, total = result
    if not isinstance(rows, tuple | list) or not all(isinstance(r, tuple | list) for r in rows):
        return rows, total
    return [
        tuple(tuple(part) if isinstance(part, tuple | list) else part for part in row)
        for row in rows
    ], total


def _examine(answer) -> Verdict:
    verdict = examine_function(
        adapted(answer, _plain),
        cases=cases,
        oracle=on_tensors(_by_patching),
        misconceptions=MISCONCEPTIONS,
    )
    verdict = name_parts(verdict, "the rows", "the total")
    if verdict.outcome == "error" and "unhashable" in verdict.headline:
        return replace(verdict, cause="A list cannot be a key; a tuple can.")
    return _leaves_a_trace(answer) or verdict if verdict.outcome == "correct" else verdict


def _leaves_a_trace(answer) -> Verdict | None:
    """Hooks, modes, statistics and gradients must be as they were, also after an error."""
    import torch

    def hooks(model):
        return sum(len(module._forward_hooks) for module in model.modules())

    model = nested()
    model[0].eval()  # half of it in eval mode, as when a trunk is frozen
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attempt(answer, (model, torch.ones(2, 3, 4, 4).double()))
    case = ("case", "a network with one block in eval mode and the rest in train mode")
    if hooks(model):
        return not_yet(
            "The table is right, but the hooks are still in the network.", case,
            cause="Every call of the network runs them from now on. register_forward_hook returns "
            "a handle: handle.remove() when all is done.",
        )  # fmt: skip
    if [module.training for module in model.modules()] != modes:
        return not_yet(
            "The table is right, but a part of the network is in another mode than before.", case,
            cause="Note module.training of every module first, and put each back: model.train() "
            "would switch a frozen block on.",
        )  # fmt: skip
    model = nested().train()
    attempt(answer, (model, torch.ones(2, 3, 4, 4).double()))
    after = model.state_dict()
    if any(not torch.equal(after[name].double(), before[name].double()) for name in before):
        return not_yet(
            "The table is right, but batch norm's running statistics have moved.",
            ("case", "a network with batch norm in train mode"),
            cause="In train mode every forward pass moves them. Switch to eval() first, and back "
            "afterwards.",
        )
    model = nested()
    attempt(answer, (model, torch.ones(1, 7, 4, 4).double()))
    if hooks(model) or not all(module.training for module in model.modules()):
        return not_yet(
            "After an error the network is not as it was.",
            ("case", "images with 7 channels for a network of 3; the forward pass raises"),
            cause="Put the cleaning up into a finally: it runs after an error too.",
        )
    return None


def _faulty(leaf=lambda m: not list(m.children()), own=None, total=None, row=None, order=None):
    """The solution with one thing changed."""

    def wrong(model, images):
        import torch

        rows, counted = [], set()
        names = {module: name for name, module in model.named_modules()}

        def note(module, inputs, output):
            new = [p for p in module.parameters() if id(p) not in counted]
            counted.update(map(id, new))
            count = (own or (lambda m, fresh: sum(p.numel() for p in fresh)))(module, new)
            made = (names[module], type(module).__name__, tuple(output.shape), count)
            rows.append((row or (lambda r: r))(made))

        handles = [m.register_forward_hook(note) for m in names if leaf(m)]
        with torch.no_grad():
            model.eval()(images)
        for handle in handles:
            handle.remove()
        number = sum(p.numel() for p in model.parameters())
        ordered = (order or (lambda model, rows: rows))(model, rows)
        return ordered, (total or (lambda model, rows: number))(model, rows)

    return on_tensors(wrong)


def _all_own(module, fresh):
    return sum(p.numel() for p in module.parameters())


def _by_registration(model, rows):
    places = {name: n for n, (name, _) in enumerate(model.named_modules())}
    return sorted(rows, key=lambda row: places[row[0]])


def _once(model, rows):
    return list({row[0]: row for row in reversed(rows)}.values())[::-1]


MISCONCEPTIONS = (
    Misconception(
        _faulty(leaf=lambda m: False),
        "There are no rows. Were the hooks registered on any module, and still there when the "
        "model ran?",
    ),
    Misconception(
        _faulty(leaf=lambda m: True),
        "Containers have a row too, the network itself for one. Only modules without children "
        "compute something of their own.",
    ),
    Misconception(
        _faulty(own=_all_own),
        "A parameter that was counted before is counted again. Remember which were seen (by "
        "id), and give the later row only what is new.",
    ),
    Misconception(
        _faulty(total=lambda model, rows: sum(row[3] for row in rows)),
        "The total is that of the rows. A part that did not run, or a parameter that belongs to "
        "no layer, has none: sum over model.parameters().",
    ),
    Misconception(
        _faulty(own=_all_own, total=lambda model, rows: sum(row[3] for row in rows)),
        "What is shared was counted twice, in the rows and in the total. model.parameters() gives "
        "each parameter once.",
    ),
    Misconception(
        _faulty(total=lambda model, rows: sum(v.numel() for v in model.state_dict().values())),
        "The total counts the whole state_dict, with buffers (running statistics) and with shared "
        "weights under each of their names. Parameters only, each once.",
    ),
    Misconception(
        _faulty(order=_by_registration),
        "The rows are in the order in which the layers were made; they should be in the order in "
        "which they run. A forward hook is called in that order.",
    ),
    Misconception(
        _faulty(order=_once),
        "A layer that runs twice has two rows. A dictionary by name keeps one of them.",
    ),
    Misconception(
        _faulty(row=lambda r: (*r[:2], r[2][1:], r[3])),
        "The shape lacks the first axis, the images of the batch: tuple(output.shape), all of it.",
    ),
    Misconception(
        _faulty(row=lambda r: (r[1], r[0], *r[2:])),
        "In each row the name comes first, then the kind.",
    ),
    Misconception(
        _faulty(own=lambda m, fresh: sum(v.numel() for v in m.state_dict().values())),
        "Buffers were counted as parameters: batch norm's running statistics are not learned.",
    ),
    Misconception(
        _faulty(own=lambda m, fresh: len(fresh)),
        "The number of parameters is that of their values: p.numel(), not one for each tensor.",
    ),
)


EXERCISE = Exercise(
    id="08.6",
    title="The shape table of any network",
    objective="look into any network with hooks, and leave it as you found it",
    level=2,
    minutes=25,
    points=4,
    hints=(
        "A forward hook gets (module, inputs, output) each time the module has run. Register it on "
        "every module without children; named_modules() knows their names.",
        "Keep a set of id(parameter) of all that was counted; a row counts what is not in it yet. "
        "The total is a sum over model.parameters(), which never lists one twice.",
        "Note the modes, model.eval(), torch.no_grad(), run; and in a finally remove every handle "
        "and put every module's training back.",
    ),
    solution=layer_table,
    examine=_examine,
)
