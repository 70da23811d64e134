"""The look of figures and pages, the same for everything that shows results.

Importing this package loads neither matplotlib nor Jinja; its modules do.

- ``series.py``: how the base and the arms are drawn: colours, lines, markers
- ``figures.py``: panels painted, shown in a notebook, saved as SVG and PNG
- ``numbers.py``: shares and differences in words
- ``page.py``, ``page.css``: self-contained pages
"""
