"""The transformers sampler on tiny models, and the distributions it must draw from."""

import numpy as np
import tiny_models as tiny
import torch

from fgrpo.evaluate.samplers import make_sampler
from fgrpo.evaluate.samplers.base import Request, SamplingSettings

PLAIN = SamplingSettings(max_tokens=6, chat=False)


def sampler(checkpoint, settings=PLAIN, **options):
    return make_sampler("transformers", checkpoint, settings, device="cpu", **options)


def request(text, count=1, first=0, seed=0, problem=None):
    return Request(problem or text, ({"role": "user", "content": text},), first, count, seed)


def ids(text):
    return [tiny.VOCABULARY.index(word) for word in text.split()]


def distribution(network, tokens, temperature=1.0, top_p=1.0):
    """Next token's probabilities after one unpadded sequence, in double precision."""
    with torch.no_grad():
        logits = network(torch.tensor([tokens])).logits[0, -1].double().numpy() / temperature
    probs = np.exp(logits - logits.max())
    probs /= probs.sum()
    kept, mass = [], 0.0
    for token in sorted(range(len(probs)), key=lambda token: -probs[token]):
        if mass >= top_p:
            break
        kept.append(token)
        mass += probs[token]
    inside = np.zeros_like(probs)
    inside[kept] = probs[kept] / mass
    return inside


def tokens_of(completion):
    """The drawn tokens, which the texts of this vocabulary show; the end token too."""
    tokens = ids(completion.text)
    return tuple(tokens if completion.truncated else [*tokens, tiny.EOS])


def by_problem(pairs):
    return {(asked.problem, asked.first): completions for asked, completions in pairs}
