"""Did training narrow the model? Evaluations of several models on several benchmarks, compared.

Each later arm is compared with the first, problem by problem: on every benchmark and in the macro
average, at every k, with Holm's correction; where the curves cross; which problems were lost and
gained, and how many chance would bring about.

- ``arms.py``, ``asked.py``, ``matching.py``: record files read and named, checked to answer the
  same questions, brought to the same problems
- ``curves.py``, ``changed.py``, ``flaws.py``: crossing k; lost and gained; samples cut off or not
  judged
- ``signflip.py``, ``holm.py``: p-values fit to be corrected for several tests, and the correction
- ``analysis.py``, ``result.py``: all of it put together, and what comes out
- ``sentences.py``, ``names.py``: the verdicts; long names cut
- ``tables.py``, ``export.py``, ``markdown.py``, ``figures.py``, ``page.py``, ``template.html``,
  ``write.py``: the files

In short: ``verdicts(diagnose(match(read_arms(…))))``. Importing this package loads no matplotlib;
``figures.py`` does.
"""

from fgrpo.diagnose.analysis import diagnose
from fgrpo.diagnose.arms import Arm, read_arms
from fgrpo.diagnose.changed import Changed, ChangedProblem, changed_problems
from fgrpo.diagnose.matching import Matched, match
from fgrpo.diagnose.result import Contrast, Diagnosis, Scope
from fgrpo.diagnose.sentences import Verdict, verdicts

__all__ = [
    "Arm",
    "Changed",
    "ChangedProblem",
    "Contrast",
    "Diagnosis",
    "Matched",
    "Scope",
    "Verdict",
    "changed_problems",
    "diagnose",
    "match",
    "read_arms",
    "verdicts",
]
