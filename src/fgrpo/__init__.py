"""Keep the rare right answers when you train a language model with verifiable rewards.

The focal weight of F-GRPO (arXiv 2602.06717), for any trainer::

    advantages = focal_advantages(rewards, group_size, gamma=0.5)
"""

from fgrpo.advantage import focal_advantages, focal_weight, group_advantages, success_rate
from fgrpo.passk import pass_at_k

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "focal_advantages",
    "focal_weight",
    "group_advantages",
    "pass_at_k",
    "success_rate",
]
