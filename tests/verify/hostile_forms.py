"""Forms that many hostile answers have."""


def boxed(content: str) -> str:
    return rf"Therefore the answer is $\boxed{{{content}}}$."


def nest(pattern: str, depth: int, innermost: str) -> str:
    """Put ``innermost`` into ``pattern``, that into the pattern, and so on."""
    before, after = pattern.split("@")
    return before * depth + innermost + after * depth
