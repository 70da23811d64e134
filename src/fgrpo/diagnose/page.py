"""The diagnosis as a self-contained page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fgrpo.diagnose.cells import adjusted, changed_cells, quality_cells, rows
from fgrpo.diagnose.curves import crossing_words
from fgrpo.diagnose.markdown import title
from fgrpo.diagnose.sentences import changed_words, method_notes
from fgrpo.presentation.page import fill
from fgrpo.presentation.series import arm_style, base_style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fgrpo.diagnose.result import Diagnosis, Scope
    from fgrpo.diagnose.sentences import Verdict
    from fgrpo.presentation.figures import DrawnFigure

_LISTED = 100  # problems lost or gained listed on the page; all of them are in the CSV table
_META = 300  # characters of a record file's metadata shown


def render_page(
    found: Diagnosis,
    said: Sequence[Verdict],
    overview: Sequence[DrawnFigure],
    figures: Mapping[Scope, Sequence[DrawnFigure]],
) -> str:
    """Fill the template; all pictures lie inside the page."""
    colours = [base_style("").colour, *(arm_style("", place).colour for place, _ in found.later)]
    sections = [_section(found, scope, figures[scope]) for scope in found.scopes]
    sections[0]["figures"] = [*sections[0]["figures"], *overview]
    return fill(
        "fgrpo.diagnose",
        title=title(found),
        first=found.labels[0],
        labels=found.labels,
        colours=colours,
        verdicts=said,
        problems=sum(scope.problems for scope in found.benchmarks),
        benchmarks=found.benchmarks,
        warnings=found.warnings,
        notes=found.notes,
        sections=sections,
        samples=[
            (scope.name, place, label, quality_cells(scope.quality[place]))
            for scope in found.benchmarks
            for place, label in enumerate(found.labels)
        ],
        method=method_notes(found),
        several_runs=found.several_runs,
        macro=found.macro is not None,
        draws=f"{found.draws:,}",
        seed=found.seed,
        made_from=[
            (place, arm.label, _written(str(run.path)), _meta(run.meta))
            for place, arm in enumerate(found.arms)
            for run in arm.runs
        ],
    )


def _section(found: Diagnosis, scope: Scope, figures: Sequence[DrawnFigure]) -> dict[str, Any]:
    few, most = scope.samples
    return {
        "name": scope.name,
        "macro": scope.macro,
        "problems": scope.problems,
        "samples": str(few) if few == most else f"{few} to {most}",
        "figures": list(figures),
        "rows": rows(found, scope),
        "adjusted": adjusted(found, scope),
        "told": []
        if scope is found.overall  # the verdicts have told
        else [
            (
                1 + later,
                label,
                crossing_words(scope.crossings[later]),
                changed_words(scope, later, found.labels[0]),
            )
            for later, label in found.later
        ],
        "changed": [] if scope.macro else _changed(found, scope),
    }


def _changed(found: Diagnosis, scope: Scope) -> list[dict[str, Any]]:
    lists = []
    for later, label in found.later:
        for change in ("lost", "gained"):
            problems = getattr(scope.changed[later], change)
            if problems:
                lists.append(
                    {
                        "place": 1 + later,
                        "label": label,
                        "change": change,
                        "number": len(problems),
                        "problems": [
                            (one.problem, *changed_cells(one)) for one in problems[:_LISTED]
                        ],
                    }
                )
    return lists


def _written(text: str) -> str:
    """Replace what a page in UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _meta(meta: Mapping[str, Any]) -> str:
    text = ", ".join(
        f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in meta.items()
    )
    return _written(text if len(text) <= _META else f"{text[:_META]}…")
