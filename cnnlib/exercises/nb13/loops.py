"""Seven training loops for exercise 13.4. Each does the same 6 steps; some do far more besides.

Each LOOP is a function without arguments that trains a fresh small network on 96 images of 12 × 12
and returns the mean loss. `table` counts the operators of one, through torch's profiler.
"""

import torch
from torch import nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

NUM_STEPS, BATCH_SIZE = 6, 16


def make():
    """The same network, optimizer and images for every loop."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    images = torch.randint(256, (NUM_STEPS * BATCH_SIZE, 1, 12, 12), dtype=torch.uint8)
    labels = torch.randint(10, (len(images),))
    return model, torch.optim.SGD(model.parameters(), lr=0.1), images, labels


def update(loss, optimizer):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def agnes():
    model, optimizer, images, labels = make()
    total = torch.zeros(())
    for part, answers in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        loss = functional.cross_entropy(model(part / 255), answers)
        update(loss, optimizer)
        total += loss.detach()
    return total.item() / NUM_STEPS


def boris():
    model, optimizer, images, labels = make()
    total = 0.0
    for start in range(0, len(images), BATCH_SIZE):
        standard = images / 255
        part, answers = standard[start : start + BATCH_SIZE], labels[start : start + BATCH_SIZE]
        loss = functional.cross_entropy(model(part), answers)
        update(loss, optimizer)
        total += loss.item()
    return total / NUM_STEPS


def clara():
    model, optimizer, images, labels = make()
    losses, gradients = [], []
    for part, answers in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        loss = functional.cross_entropy(model(part / 255), answers)
        update(loss, optimizer)
        losses.append(loss.item())
        convolutions = list(model.parameters())[:4]
        gradients.append([value.item() for p in convolutions for value in p.grad.flatten()])
    return sum(losses) / len(losses)


def dmitri():
    model, optimizer, images, labels = make()
    total = 0.0
    for part, answers in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        logits = torch.cat([model(image[None] / 255) for image in part])
        loss = functional.cross_entropy(logits, answers)
        update(loss, optimizer)
        total += loss.item()
    return total / NUM_STEPS


def elena():
    model, optimizer, images, labels = make()
    total, right = 0.0, 0
    for part, answers in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        loss = functional.cross_entropy(model(part / 255), answers)
        update(loss, optimizer)
        total += loss.detach()
        right += (model(part / 255).argmax(dim=1) == answers).sum()
    return (total / NUM_STEPS).item()


def fatima():
    model, optimizer, images, labels = make()
    standard, losses = images / 255, []
    for start in range(0, len(images), BATCH_SIZE):
        part, answers = standard[start : start + BATCH_SIZE], labels[start : start + BATCH_SIZE]
        loss = functional.cross_entropy(model(part), answers)
        update(loss, optimizer)
        losses.append(loss.detach())
    return torch.stack(losses).mean().item()


def george():
    model, optimizer, images, labels = make()
    seen, losses, watched = [], [], []
    for part, answers in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        seen.append((part / 255, answers))
        with torch.no_grad():
            logits = model(torch.cat([batch for batch, _ in seen]))
            everything = torch.cat([old for _, old in seen])
            watched.append(functional.cross_entropy(logits, everything))
        loss = functional.cross_entropy(model(seen[-1][0]), answers)
        update(loss, optimizer)
        losses.append(loss.detach())
    return torch.stack(losses).mean().item()


LOOPS = {f.__name__: f for f in (agnes, boris, clara, dmitri, elena, fatima, george)}
SHOWN = ("aten::conv2d", "aten::convolution_backward", "aten::div", "aten::item", "aten::cat")


def table(name: str) -> str:
    """How often some operators ran in one loop, and the largest input that each of them had."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        LOOPS[name]()
    rows = [f"{name:28} calls  largest input"]
    for operator in SHOWN:
        events = [e for e in found.key_averages(group_by_input_shape=True) if e.key == operator]
        shapes = [tuple(shape) for e in events for shape in e.input_shapes[:1] if shape]
        largest = max(shapes, key=lambda shape: torch.Size(shape).numel(), default="")
        rows.append(f"  {operator:26} {sum(e.count for e in events):5}  {largest}")
    return "\n".join(rows)
