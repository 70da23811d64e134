"""docs/concepts/narrowing.md: what it shows as printed is what is printed."""


def check(names, printed):
    from docs_check.small import require_outputs

    require_outputs("docs/concepts/narrowing.md", printed, without=range(4))  # formulas
