"""A verifier by which a random model is right every now and then."""


def readable(text, reference):
    """Whether as many printable ASCII characters are in the text as the reference asks for."""
    return sum(" " <= character <= "~" for character in text) >= int(reference)
