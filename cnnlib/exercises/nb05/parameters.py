"""A network's parameters by name, which show themselves by shape where a check shows its case."""


class Parameters(dict):
    """A dictionary name -> array, as PyTorch's state_dict would give it."""

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in self.items())
        return f"parameters {shapes}"
