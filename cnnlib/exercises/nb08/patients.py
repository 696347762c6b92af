"""Seven small networks and the way each is trained, for exercise 08.5. Some are in good health.

Each PATIENT is a function without arguments: it makes a network and returns it with a function
`step(images, labels)`, which trains it on one batch and returns the loss.
"""

import torch
from torch import nn
from torch.nn import functional


class Stack(nn.Module):
    def __init__(self, channels=8, depth=2):
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, stride=2)
        self.convs = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth)]
        self.head = nn.Linear(channels, 10)

    def forward(self, images):
        maps = self.first(images).relu()
        for conv in self.convs:
            maps = conv(maps).relu()
        return self.head(maps.mean(dim=(2, 3)))


def ada():
    model = Stack()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(images, labels):
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(400, 10),
    )  # fmt: skip


def ben():
    model = small_cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(images, labels):
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 5, stride=2)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8 * 12 * 12, 10)

    def forward(self, images):
        maps = self.first(images).relu()
        for _ in range(3):
            maps = maps + self.again(maps).relu() / 3
        return self.head(maps.flatten(1))


def cleo():
    model = Recurrent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)

    def step(images, labels):
        model.zero_grad()
        for half in (slice(0, None, 2), slice(1, None, 2)):
            loss = functional.cross_entropy(model(images[half]), labels[half]) / 2
            loss.backward()
        optimizer.step()
        return 2 * loss.item()

    return model, step


class Standardised(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(1, 8, 5, stride=2)
        self.head = nn.Linear(8 * 12 * 12, 10)

    def forward(self, images):
        features = self.body(images).relu().flatten(1).detach().numpy()
        features = (features - features.mean()) / features.std()
        return self.head(torch.from_numpy(features))


def dev():
    model = Standardised()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002)

    def step(images, labels):
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


def eva():
    model = small_cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[5] = nn.Linear(400, 10, bias=False)

    def step(images, labels):
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


def finn():
    model = nn.Sequential(*small_cnn(), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(images, labels):
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(8, 1, 5, 5) / 5)
        self.scores = nn.Parameter(torch.zeros(10, 8 * 12 * 12))

    def forward(self, images):
        maps = torch.conv2d(images, self.kernels, stride=2).relu()
        return maps.flatten(1) @ self.scores.T


def gil():
    model = ByHand()

    def step(images, labels):
        loss = functional.cross_entropy(model(images), labels)
        grads = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, grad in zip(model.parameters(), grads, strict=True):
                parameter -= 0.1 * grad
        return loss.item()

    return model, step


PATIENTS = {make.__name__: make for make in (ada, ben, cleo, dev, eva, finn, gil)}
