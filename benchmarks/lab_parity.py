"""How far the log-probabilities of sampling and of training lie apart, per precision.

Samples responses with a model folder of the lab (``--model``, for example a base model of
``runs/base-models/``), computes the same tokens' log-probabilities as an update does, and prints
the largest and the mean absolute difference over all tokens.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from fgrpo.lab.packing import distinct_responses, response_logprobs, split
from fgrpo.lab.sampling import autocast, sample
from fgrpo.lab.settings import MazeSettings
from fgrpo.lab.static_sampling import sample_static
from fgrpo.lab.task import MazeTask
from fgrpo.lab.weights import load_model
from fgrpo.maze import Token


def main() -> None:
    """Print a table: sampler × precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--size", type=int, default=9, help="of the mazes; default 9")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()

    device = torch.device(given.device)
    model = load_model(given.model, device)
    settings = MazeSettings(size=given.size)
    task = MazeTask(settings, given.prompts, 0)
    prompts = task.prompts(task.held_out).to(device)
    print("| sampler | precision | tokens | largest difference | mean difference |")
    print("|---|---|---|---|---|")
    for name, draw in (("shared prefixes", sample), ("static", sample_static)):
        if name == "shared prefixes" and device.type == "cuda":
            continue  # there `sample` is the static sampler
        for precision in ("fp32", "bf16"):
            rollouts = draw(
                model,
                prompts,
                given.group_size,
                max_tokens=settings.response_cap,
                eos=Token.EOS,
                pad=Token.PAD,
                generator=torch.Generator().manual_seed(0),
                precision=precision,
            )
            every = torch.ones(rollouts.lengths.shape, device=device)
            apart = []
            with torch.no_grad(), autocast(device, precision):
                for part in split(distinct_responses(rollouts, every), prompts.shape[1], 4096):
                    found = response_logprobs(model, prompts, part, 1.0)
                    inside = part.responses.mask > 0
                    apart.append((found - part.responses.old_logprobs)[inside].abs())
            differences = torch.cat(apart)
            largest, mean = float(differences.max()), float(differences.mean())
            print(f"| {name} | {precision} | {len(differences)} | {largest:.1e} | {mean:.1e} |")


if __name__ == "__main__":
    main()
