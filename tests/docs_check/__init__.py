"""Run every ``sh`` and ``python`` block of the documentation, in the order of its page.

    python tests/docs_check docs/trl.md   # one page, with what is installed here
    python tests/docs_check               # all pages
    make docs-check                       # all of them, from the installation on

Each page runs in a fresh folder, ``build/docs-check/PAGE``, which holds ``examples/`` as a clone
does. Its Python blocks share one process and their names. What nobody lists runs as it stands;
``pages/`` holds a file for each page that needs more:

    REPLACED = [(pattern, replacement)]   what makes a block small; {names} are filled in
    NOT_RUN = {pattern: reason}           commands, or Python blocks, that are left out
    PYTHON = "verl"                       the environment, if another than the runner's own
    def prepare(): ...                    before the first block, in the page's Python: returns
                                          names, for the blocks and for {…} in replacements
    def check(names, printed): ...        after the last one: asserts what the page promises

Patterns are regular expressions, matched line by line. One that matches nothing, or a reason that
is missing, is an error.
"""
