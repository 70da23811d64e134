"""Operations and bytes of one RL step, counted from the sizes alone.

Matrix products only: a product and a sum are 2 operations. Attention costs what each query really
sees. Bytes: weights read once per pass and decoding step; keys and values written once, and read
by every token that sees them, the prompt's once per group; what the backward pass needs written
and read once; gradients and AdamW in float32. Nothing else leaves the caches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fgrpo.maze import VOCAB_SIZE

if TYPE_CHECKING:
    import numpy as np

    from fgrpo.lab.settings import ModelSettings


@dataclass(frozen=True)
class Flow:
    """What goes through the model; the last layer may be asked for less than the others."""

    tokens: float
    pairs: float  # (query, key) where the query sees the key
    last_tokens: float  # whose output of the last layer is wanted; keys and values: of all
    last_pairs: float
    logits: float  # positions whose logits are wanted

    def times(self, factor: float) -> Flow:
        return Flow(*(factor * value for value in vars(self).values()))

    def __add__(self, other: Flow) -> Flow:
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return Flow(*(a + b for a, b in both))


@dataclass(frozen=True)
class Architecture:
    """Sizes of `fgrpo.lab.model.Decoder`, and what they cost."""

    config: ModelSettings
    vocab: int = VOCAB_SIZE

    @property
    def sizes(self) -> tuple[int, int]:
        """Hidden and intermediate: those of the largest matrices."""
        return self.config.hidden_size, self.config.intermediate_size

    @property
    def kv_size(self) -> int:
        c = self.config
        return c.hidden_size // c.num_attention_heads * c.num_key_value_heads

    @property
    def parameters(self) -> int:
        c, h = self.config, self.config.hidden_size
        matrices = 2 * h * self.kv_size + 2 * h * h + 3 * h * c.intermediate_size
        vectors = h + 2 * self.kv_size + 2 * h  # biases of q, k, v; two norms
        return c.num_hidden_layers * (matrices + vectors) + self.vocab * h + h

    def flops(self, flow: Flow) -> float:
        """Operations of a forward pass; a backward pass takes twice as many."""
        c, h, early = self.config, self.config.hidden_size, self.config.num_hidden_layers - 1
        keys_values = 2 * h * self.kv_size * (early + 1) * flow.tokens
        others = (2 * h * h + 3 * h * c.intermediate_size) * (
            early * flow.tokens + flow.last_tokens
        )
        attention = 2 * h * (early * flow.pairs + flow.last_pairs)  # q·k and weights·v
        return 2 * (keys_values + others + attention + h * self.vocab * flow.logits)

    def cached(self, tokens: float) -> float:
        """Numbers in the keys and values of so many tokens."""
        return 2 * self.kv_size * self.config.num_hidden_layers * tokens

    def kept(self, flow: Flow) -> float:
        """Numbers a backward pass needs: norms and silu·mul are computed again instead.

        Of each layer its input, k and v; then q, attention's output, their sum, gate and up.
        """
        c, h, early = self.config, self.config.hidden_size, self.config.num_hidden_layers - 1
        of_all = (early + 1) * flow.tokens * (h + 2 * self.kv_size)
        return of_all + (early * flow.tokens + flow.last_tokens) * (3 * h + 2 * c.intermediate_size)


@dataclass(frozen=True)
class Lengths:
    """Tokens of a response, DONE and end included; all of a group's are alike."""

    mean: float
    mean_square: float
    longest: float  # of the batch

    @classmethod
    def of_right_answers(cls, tokens: np.ndarray, prompts: int) -> Lengths:
        """From a sample; `longest` is the mean over batches of so many mazes."""
        prompts = min(prompts, len(tokens))
        batches = tokens[: len(tokens) // prompts * prompts].reshape(-1, prompts)
        return cls(tokens.mean(), (tokens.astype(float) ** 2).mean(), batches.max(1).mean())

    @classmethod
    def constant(cls, tokens: float) -> Lengths:
        return cls(tokens, tokens**2, tokens)


@dataclass(frozen=True)
class Sharing:
    """What is left once equal work is done once; 1 where no two rollouts agree."""

    prefixes: float = 1.0  # decoded tokens
    responses: float = 1.0  # response tokens trained on
    groups: float = 1.0  # groups trained on: those with an advantage


@dataclass(frozen=True)
class Case:
    """One RL step."""

    name: str
    model: Architecture
    prompt: int
    prompts: int
    group_size: int
    lengths: Lengths
    sharing: Sharing = Sharing()

    @property
    def prompt_flow(self) -> Flow:
        """One prompt, of which the last layer only finishes the last token."""
        p = self.prompt
        return Flow(p, p * (p + 1) / 2, 1, p, 1)

    @property
    def response_flow(self) -> Flow:
        """One response: its last token is never fed, the others see the prompt and their own."""
        fed = self.lengths.mean - 1
        pairs = fed * self.prompt + self.own_pairs
        return Flow(fed, pairs, fed, pairs, fed)

    @property
    def own_pairs(self) -> float:
        return (self.lengths.mean_square - self.lengths.mean) / 2


@dataclass(frozen=True)
class Work:
    """One phase: operations, bytes, and rows of its matrix products."""

    flops: float
    bytes: float
    rows: float


def work(case: Case, element: int, *, shared: bool = True) -> dict[str, Work]:
    """Count the phases of a step.

    Parameters
    ----------
    case
        The step.
    element
        Bytes of a number in products and caches; gradients and AdamW have 4.
    shared
        False: a prompt per rollout, in sampling and in training, finished in every layer, and
        nothing done once for equal rollouts. Without padding, so a general trainer does more.
    """
    model, sharing = case.model, case.sharing if shared else Sharing()
    rollouts = case.prompts * case.group_size
    copies = case.prompts if shared else rollouts
    prompt, response, p = case.prompt_flow, case.response_flow, case.prompt
    if not shared:
        prompt = replace(prompt, last_tokens=prompt.tokens, last_pairs=prompt.pairs)
    weights = element * model.parameters
    steps, fed = case.lengths.longest - 1, response.tokens

    filled = prompt.times(copies)
    decoded = response.times(sharing.prefixes * rollouts)
    trained = prompt.times(sharing.groups * copies) + response.times(sharing.responses * rollouts)
    own_read = sharing.prefixes * rollouts * case.own_pairs
    cache = model.cached(copies * fed * p + own_read + decoded.tokens)  # read, read, written
    return {
        "prompts": Work(
            model.flops(filled), weights + element * model.cached(filled.tokens), filled.tokens
        ),
        "decoding": Work(
            model.flops(decoded), steps * weights + element * cache, decoded.tokens / steps
        ),
        "training": Work(
            3 * model.flops(trained),
            # Weights read by both passes, gradients written; then AdamW: the gradient read for
            # its norm, four numbers a parameter read, three written.
            2 * weights + 4 * 9 * model.parameters + 2 * element * model.kept(trained),
            trained.tokens,
        ),
    }
