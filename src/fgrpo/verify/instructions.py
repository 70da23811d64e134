"""Whether a text follows instructions that can be checked, as in IFEval.

The checks are those of IFEval's authors, in the library if-verifiable. A reference is a row of the
IFEval data set, of which ``{"instruction_id_list": [id, …], "kwargs": [settings, …]}`` is used: one
dictionary of settings for each instruction, where those that are None are left out. A text is
right if it follows every instruction as it stands (the strict accuracy of prompts). What stands
before ``</think>`` is thinking and not checked; an empty text follows no instruction.

Where this differs from if-verifiable, on purpose:

- An unknown instruction is unverifiable; if-verifiable leaves it out.
- A setting that is missing or out of range is unverifiable; if-verifiable draws one at random.
- The detection of languages is seeded, so that a verdict does not change from run to run.
- Sentences and capital words are counted with NLTK's punkt_tab, which must be installed, as workers
  have no network: ``python -m nltk.downloader punkt_tab``. Without it these are unverifiable.

References
----------
Zhou et al., Instruction-Following Evaluation for Large Language Models, arXiv 2311.07911.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, NoReturn

from fgrpo.errors import UsageError, to_install
from fgrpo.verify.verdict import UnverifiableError

_THINKING_ENDS = "</think>"
_TOKENIZER = "tokenizers/punkt_tab/english/"


def verify(text: str, reference: Any) -> bool:
    """Judge whether a text follows all instructions.

    Parameters
    ----------
    text
        What the model wrote.
    reference
        The instructions and their settings; see the module.

    Returns
    -------
    bool
        Whether every instruction is followed.

    Raises
    ------
    UnverifiableError
        ``reference: …`` if the instructions or their settings are not IFEval's, ``nltk data: …``
        if the tokenizer for sentences and words is not installed.
    """
    checks = [_check(name, settings) for name, settings in _read(reference)]
    response = text.rpartition(_THINKING_ENDS)[2].strip()
    if not response or response.startswith("<think>"):
        return False
    try:
        # All of them, even after one that is not followed: whether a text can be judged must not
        # depend on the text.
        followed = [check.check_following(response) for check in checks]
    except RecursionError as error:
        raise UnverifiableError("recursion: the text is nested too deeply") from error
    except LookupError as error:
        if "punkt" not in str(error):
            raise
        raise UnverifiableError(
            "nltk data: punkt_tab is not installed: run  python -m nltk.downloader punkt_tab"
        ) from error
    return all(followed)


def warm() -> None:
    """Load the checks, the profiles of languages and, if it is installed, the tokenizer."""
    _checks()
    from if_verifiable.ifeval.instructions import langdetect
    from if_verifiable.ifeval.instructions_util import nltk

    langdetect.detect("These words are English, as everyone can see.")
    try:
        nltk.data.find(_TOKENIZER)
    except LookupError:
        return
    _count = {"num_sentences": 1, "relation": "at least"}
    verify("One sentence.", {"instruction_id_list": [_SENTENCES], "kwargs": [_count]})
    nltk.word_tokenize("Two words.")


_SENTENCES = "length_constraints:number_sentences"


def _read(reference: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(reference, dict):
        raise UnverifiableError(f"reference: {reference!r:.80} is not a dictionary")
    names, settings = reference.get("instruction_id_list"), reference.get("kwargs")
    if not isinstance(names, list) or not isinstance(settings, list) or not names:
        raise UnverifiableError("reference: pass instruction_id_list and kwargs, two lists")
    if len(names) != len(settings):
        raise UnverifiableError(
            f"reference: {len(names)} instructions, but settings for {len(settings)}"
        )
    if not all(one is None or isinstance(one, dict) for one in settings):
        raise UnverifiableError("reference: kwargs must hold a dictionary for each instruction")
    return [
        (name, {key: value for key, value in (one or {}).items() if value is not None})
        for name, one in zip(names, settings, strict=True)
    ]


def _check(name: str, settings: dict[str, Any]) -> Any:
    """Make the check of one instruction."""
    kind = _checks().get(name)
    if kind is None:
        raise UnverifiableError(f"reference: no instruction {name!r:.80}")
    check = kind(name)
    try:
        check.build_description(**settings)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UnverifiableError(
            f"reference: {name} cannot have {settings!r:.200}: {error}"
        ) from error
    return check


class _NoChance:
    """Stands for the module random in the checks, which use it where a setting is missing."""

    def __getattr__(self, name: str) -> NoReturn:
        raise UnverifiableError("reference: a setting is missing or out of range")


@lru_cache(maxsize=1)
def _checks() -> dict[str, Any]:
    try:
        from if_verifiable.ifeval import instructions, instructions_util
        from if_verifiable.ifeval.instructions_registry import INSTRUCTION_DICT
    except ImportError as error:
        raise UsageError(
            f"the verifier instructions needs if-verifiable: {to_install('evaluate')}"
        ) from error
    instructions.langdetect.DetectorFactory.seed = 0
    instructions.random = instructions_util.random = _NoChance()
    instructions.logging = logging.getLogger("if_verifiable")  # not the root logger
    logging.getLogger("if_verifiable").setLevel(logging.CRITICAL)
    checks: dict[str, Any] = INSTRUCTION_DICT
    return checks
