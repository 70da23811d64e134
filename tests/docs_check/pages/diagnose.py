"""docs/diagnose.md, as it stands: what it shows as printed is what is printed."""


def check(names, printed):
    from docs_check.small import require_outputs

    require_outputs("docs/diagnose.md", printed)
