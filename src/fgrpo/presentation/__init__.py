"""The look of figures and pages, the same for everything that shows results.

Importing this package loads neither matplotlib nor Jinja; its modules do.

- ``series.py``: how the base and the arms are drawn: colours, lines, markers
- ``figures.py``: panels painted, shown in a notebook, saved as SVG and PNG
- ``axes.py``: axes of group sizes and of shares
- ``numbers.py``: shares, differences, intervals and group sizes in words
- ``tables.py``: CSV, and values for JSON
- ``made_with.py``: versions, machine and command of a run
- ``page.py``, ``page.css``, ``parts.html``: self-contained pages
"""
