"""Verifiers of our own, as users write them."""


def even(text, reference):
    """A random model is right about every other time."""
    return sum(map(ord, text)) % 2 == 0


def broken(text, reference):
    raise KeyError(reference)
