"""Sources of completions, loaded only when chosen."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError, to_install

if TYPE_CHECKING:
    from fgrpo.evaluate.samplers.base import Sampler, SamplingSettings

# Kind: module, class, and how to install what it needs.
SAMPLERS = {
    "transformers": ("transformers", "TransformersSampler", to_install("transformers")),
    "openai": ("openai", "OpenAISampler", to_install("evaluate")),
    "vllm": ("vllm", "VLLMSampler", "pip install vllm"),
}


def make_sampler(kind: str, model: str, settings: SamplingSettings, **options: Any) -> Sampler:
    """Make the sampler of this kind.

    Parameters
    ----------
    kind
        A key of `SAMPLERS`.
    model
        Name or folder of the model; for ``openai``, the name that the servers know it by.
    settings
        How completions are drawn.
    **options
        What this kind of sampler takes besides; see its class.

    Raises
    ------
    UsageError
        If there is no such kind, or its package is not installed, or an option is out of range.
    """
    if kind not in SAMPLERS:
        raise UsageError(f"no sampler {kind!r}: choose one of {', '.join(SAMPLERS)}")
    name, maker, install = SAMPLERS[kind]
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(f"the {kind} sampler needs {error.name}: {install}") from error
    sampler: Sampler = getattr(module, maker)(model, settings, **options)
    return sampler
