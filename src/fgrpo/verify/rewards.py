"""Verifiers as reward functions, for TRL and verl.

A reward is 1 for a right answer and 0 for a wrong one. An answer that cannot be judged is neither:
TRL gets None and leaves it out of the advantages; verl, which needs a number, gets 0 and a flag.
All answers of a process are judged by one `VerifierPool`, made when first needed, unless a pool is
given; several processes on a machine (``LOCAL_WORLD_SIZE``) share its cores.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from fgrpo.cores import cores
from fgrpo.errors import RunError, UsageError
from fgrpo.verify.pool import VerifierPool
from fgrpo.verify.registry import find
from fgrpo.verify.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fgrpo.verify.verdict import Verdict

_LOG = logging.getLogger(__name__)
_MANY = 0.01  # share of answers that cannot be judged, from which on a run is told
_LEAST = 100  # answers before a share is one
_VERL_REWARD_WORKERS = 8  # the default of verl 0.9.1
_VERL_PASSES = {"reward_router_address", "reward_model_tokenizer"}
_ENOUGH = 200  # answers of which one should have been judged

_lock = threading.Lock()
_shared: tuple[int, VerifierPool] | None = None


def shared_pool(workers: int | None = None) -> VerifierPool:
    """Return the pool of this process, made on first use and closed when the process ends.

    Parameters
    ----------
    workers
        Its size, if it is made now; None takes this process's share of the cores.
    """
    global _shared
    with _lock:
        if _shared is None or _shared[0] != os.getpid():  # a fork cannot use its parent's pool
            _shared = (os.getpid(), VerifierPool(_workers() if workers is None else workers))
        return _shared[1]


def trl_reward(
    verifier: str = "maths",
    *,
    column: str = "answer",
    decode: Callable[[Any], Any] | None = None,
    pool: VerifierPool | None = None,
    unverifiable: float | None = None,
) -> Callable[..., list[float | None]]:
    """Make a reward function for TRL's trainers.

    Parameters
    ----------
    verifier
        A verifier's name; see `VerifierPool.submit`.
    column
        The data set's column with the references.
    decode
        Turns what stands there into a reference, as ``json.loads`` does; None takes it as it is.
    pool
        The pool to use; None takes the process's own.
    unverifiable
        Reward of an answer that cannot be judged. None leaves it out.

    Returns
    -------
    callable
        Takes ``prompts``, ``completions`` (strings, or conversations, of which the last message
        counts) and the columns of the data set as keywords, and returns a reward for each
        completion. Once more than 1% of its answers could not be judged it logs a warning, once.

    Raises
    ------
    UsageError
        If there is no such verifier; and by the reward function, if the column is missing.
    RunError
        By the reward function, if none of its first 200 answers could be judged.

    Examples
    --------
    >>> GRPOTrainer(..., reward_funcs=trl_reward("maths", column="solution"))  # doctest: +SKIP
    """
    find(verifier)
    tally = _Tally(verifier)

    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        if column not in columns:
            raise UsageError(
                f"the data set has no column {column!r} to compare answers with; "
                f"there are {', '.join(sorted(columns)) or 'none'}: use trl_reward(column=…)"
            )
        texts = [_text(completion) for completion in completions]
        references = list(columns[column])
        if decode is not None:
            references = [decode(reference) for reference in references]
        verdicts = (pool or shared_pool()).verify(verifier, texts, references)
        tally.add(verdicts)
        tally.refuse_if_none_judged()
        return [
            unverifiable if verdict.outcome is Outcome.UNVERIFIABLE else float(verdict.correct)
            for verdict in verdicts
        ]

    # TRL names its metrics after the function.
    reward.__name__ = f"{verifier.rpartition(':')[2].replace('-', '_')}_reward"
    return reward


def verl_compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    *,
    verifier: str = "maths",
    workers: int | None = None,
    pool: VerifierPool | None = None,
    **others: Any,
) -> dict[str, float]:
    """Score one answer for verl, as its ``custom_reward_function``.

    May be called from several threads at once; each call waits for its own verdict.

    Parameters
    ----------
    data_source, extra_info
        Not used.
    solution_str
        What the model wrote.
    ground_truth
        The reference.
    verifier
        A verifier's name; in verl ``+reward.custom_reward_function.reward_kwargs.verifier=…``.
    workers
        Processes of this process's pool; None takes an eighth of the machine's cores, since verl
        runs 8 reward workers (``reward.num_workers``), each with a pool of its own.
    pool
        The pool to use; None takes the process's own.
    others
        What verl passes to any reward function; not used.

    Returns
    -------
    dict
        ``score`` and ``acc``, 1 if the answer is right and 0 otherwise, and ``unverifiable``, 1 if
        it could not be judged. verl logs their means in validation and writes them into
        ``trainer.validation_data_dir``; of training it logs the score alone.

    Raises
    ------
    UsageError
        If there is no such verifier, for an unknown keyword, and for ``workers`` below 1.
    RunError
        If none of the first 200 answers could be judged. verl leaves out rollouts whose reward
        function fails, and ends without any.
    """
    if unknown := sorted(others.keys() - _VERL_PASSES):
        raise UsageError(
            f"reward_kwargs.{unknown[0]} is no setting; there are verifier and workers"
        )
    if workers is not None and (type(workers) is not int or workers < 1):
        raise UsageError(f"reward_kwargs.workers={workers!r}: give an integer of at least 1")
    share = max(1, cores() // _VERL_REWARD_WORKERS)
    chosen = pool or shared_pool(share if workers is None else workers)
    verdict = chosen.submit(verifier, solution_str, ground_truth).result()
    tally = _tally_of(verifier)
    tally.add([verdict])
    tally.refuse_if_none_judged()
    right = float(verdict.correct)
    failed = float(verdict.outcome is Outcome.UNVERIFIABLE)
    return {"score": right, "acc": right, "unverifiable": failed}


class _Tally:
    """Counts verdicts, and says once if many answers cannot be judged."""

    def __init__(self, verifier: str) -> None:
        self._verifier = verifier
        self._lock = threading.Lock()
        self._answers = 0
        self._kinds: Counter[str] = Counter()
        self._last = ""
        self._told = False

    def add(self, verdicts: Sequence[Verdict]) -> None:
        with self._lock:
            self._answers += len(verdicts)
            self._kinds.update(v.kind for v in verdicts if v.outcome is Outcome.UNVERIFIABLE)
            failed = self._kinds.total()
            for verdict in verdicts:
                if verdict.outcome is Outcome.UNVERIFIABLE:
                    self._last = verdict.reason
            if self._told or self._answers < _LEAST or failed <= _MANY * self._answers:
                return
            self._told = True
            kinds = ", ".join(f"{kind} {count}" for kind, count in self._kinds.most_common())
            _LOG.warning(
                "verifier %s: %d of %d answers could not be judged (%s), the last: %s",
                *(self._verifier, failed, self._answers, kinds, self._last),
            )

    def refuse_if_none_judged(self) -> None:
        """Fail if there were many answers and none could be judged: training would be in vain."""
        with self._lock:
            if self._answers >= _ENOUGH and self._kinds.total() == self._answers:
                kinds = ", ".join(self._kinds)
                raise RunError(
                    f"verifier {self._verifier}: none of the first {self._answers} answers could "
                    f"be judged ({kinds}), the last: {self._last}"
                )


_tallies: dict[str, _Tally] = {}


def _tally_of(verifier: str) -> _Tally:
    with _lock:
        return _tallies.setdefault(verifier, _Tally(verifier))


def _workers() -> int:
    """Return this process's share of the cores it may use."""
    given = os.environ.get("LOCAL_WORLD_SIZE", "")
    processes = int(given) if given.isdecimal() and int(given) else 1
    return max(1, cores() // processes)


def _text(completion: Any) -> str:
    """Return the text of a completion: a string, or the last message of a conversation."""
    content = completion
    if isinstance(content, list):
        content = content[-1]["content"] if content else ""
    if isinstance(content, list):  # a message in parts: text, images
        content = "".join(part.get("text") or "" for part in content)
    if content is None:  # an assistant's message with nothing but tool calls
        return ""
    if not isinstance(content, str):
        raise UsageError(f"a completion is {type(content).__name__}: pass text or a conversation")
    return content
