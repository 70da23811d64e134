"""Is the difference between two models noise? Comparisons of mean pass@k, B against A.

Three functions, three sources of noise; a claim needs the one that matches it:

- `compare_generations`: would the same two models, sampled again on the same problems, differ?
  (paired m-out-of-n subsampling, F-GRPO, arXiv 2602.06717, appendix Q)
- `compare_problems`: would they differ on other problems of this kind? (paired bootstrap)
- `compare_seeds`: would training again with other seeds give a difference? (Welch's t)

All take `fgrpo.records.Counts`, pair the two sides by problem name, weigh every problem equally
and return one `Comparison` for each k. The p-values are not corrected for asking several k.

- ``arms.py``: both sides brought to the same problems
- ``result.py``: `Comparison`, and what it makes of simulated differences
- ``generations.py``, ``problems.py``, ``seeds.py``: the three functions
"""

from fgrpo.compare.generations import compare_generations
from fgrpo.compare.problems import compare_problems
from fgrpo.compare.result import Comparison
from fgrpo.compare.seeds import compare_seeds

__all__ = ["Comparison", "compare_generations", "compare_problems", "compare_seeds"]
