"""The diagnosis as ``comparison.json``.

Schema version 1. Shares, differences and p-values are in full precision, shares in [0, 1];
what is not known is null::

    fgrpo_comparison   schema version, an integer
    fgrpo              version of the program
    first              label of the arm that the others are compared with
    arms               [{label, runs: [{path, meta, problems, samples}]}]
    k                  the k that verdicts are about
    bootstrap          {seed, draws}
    notes, warnings    sentences: what was left out; what may mislead
    method             sentences: what intervals cover, what p is corrected for
    verdicts           [{arm, headline, details}]
    benchmarks         [scope]; macro: scope, or null with a single benchmark

    scope: name, problems, samples [fewest, most of any problem], and by arm
      curves           {arm: {k, pass_at_k, low, high}}: lists of equal length
      samples_judged   {arm: {samples, truncated, timed_out, unverifiable, tokens}}
      differences      {later arm: [{k, difference, standard_error, low, high, p, p_adjusted,
                       tests, judgement, noise, caveat}]}; p_adjusted: Holm's, of p or, if that
                       is larger, of the p of a sign-flip test
      crossings        {later arm: {k, last, start, changes, tested, ahead, behind, beyond_noise,
                       words}}:
                       k, the first after a change of sign, or null; start, the sign at the
                       smallest k with a difference; changes, [last k before, first k after] each;
                       ahead and behind, the k, of those tested, at which that is significant
      changed          {later arm: {lost, gained, expected_lost, expected_gained, first_solved,
                       solved}}; lost and gained: [{problem, first_c, first_n, c, n, p}]
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from fgrpo import __version__
from fgrpo.diagnose.curves import crossing_words
from fgrpo.diagnose.sentences import method_notes
from fgrpo.presentation.tables import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgrpo.diagnose.curves import Crossing
    from fgrpo.diagnose.result import Contrast, Diagnosis, Scope
    from fgrpo.diagnose.sentences import Verdict

SCHEMA_VERSION = 1


def comparison_json(found: Diagnosis, said: Sequence[Verdict]) -> str:
    """Write the whole diagnosis as JSON."""
    content = {
        "fgrpo_comparison": SCHEMA_VERSION,
        "fgrpo": __version__,
        "first": found.labels[0],
        "arms": [
            {
                "label": arm.label,
                "runs": [
                    {
                        "path": str(run.path),
                        "meta": run.meta,
                        "problems": len(run.counts.problems),
                        "samples": int(run.counts.n.sum()),
                    }
                    for run in arm.runs
                ],
            }
            for arm in found.arms
        ],
        "k": found.ks,
        "bootstrap": {"seed": found.seed, "draws": found.draws},
        "notes": found.notes,
        "warnings": found.warnings,
        "method": method_notes(found),
        "verdicts": [
            {"arm": one.label, "headline": one.headline, "details": one.details} for one in said
        ],
        "benchmarks": [_scope(found, scope) for scope in found.benchmarks],
        "macro": _scope(found, found.macro) if found.macro else None,
    }
    # Plain ASCII: a path that is not Unicode is written too.
    return json.dumps(plain(content), indent=1, allow_nan=False) + "\n"


def _scope(found: Diagnosis, scope: Scope) -> dict[str, Any]:
    labels = found.labels
    return {
        "name": scope.name,
        "problems": scope.problems,
        "samples": scope.samples,
        "curves": {
            label: {
                "k": curve.ks,
                "pass_at_k": curve.mean.tolist(),
                "low": curve.low.tolist(),
                "high": curve.high.tolist(),
            }
            for label, curve in zip(labels, scope.curves, strict=True)
        },
        "samples_judged": {
            label: dataclasses.asdict(one) for label, one in zip(labels, scope.quality, strict=True)
        },
        "differences": {
            label: [_difference(one) for one in scope.contrasts[later]]
            for later, label in found.later
        },
        "crossings": {label: _crossing(scope.crossings[later]) for later, label in found.later},
        "changed": {
            label: dataclasses.asdict(scope.changed[later]) for later, label in found.later
        },
    }


def _difference(one: Contrast) -> dict[str, Any]:
    result = one.comparison
    return {
        "k": one.k,
        "difference": result.estimate,
        "standard_error": result.standard_error,
        "low": result.interval[0],
        "high": result.interval[1],
        "p": result.p_value,
        "p_adjusted": one.adjusted,
        "tests": one.family,
        "judgement": one.judgement,
        "noise": result.noise,
        "caveat": result.caveat,
    }


def _crossing(one: Crossing) -> dict[str, Any]:
    return {
        "k": one.k,
        **dataclasses.asdict(one),
        "beyond_noise": one.beyond_noise,
        "words": crossing_words(one),
    }
