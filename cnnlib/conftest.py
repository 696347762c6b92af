"""For the doctests of cnnlib: what they try is not kept as the progress of whoever runs them."""

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """Each doctest has a learner's folder of its own."""
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def close_figures():
    """What a doctest draws is thrown away."""
    yield
    plt.close("all")
