"""A policy-gradient loop of one's own with the focal weight: the one line to copy is marked.

A table of logits stands for the model: 64 prompts with 15 answers each, five of them right, of
which one is common and four are rare. The rest is as in any loop: draw a group of answers for each
prompt, ask a verifier, turn rewards into advantages, take a step.

All runs stop at the same success rate, 90%, so that a run is not better only because it moved less.
What is shown is how many of the rare right answers are still found within 64 samples.

    python examples/own_trainer.py     # a few seconds on a CPU; needs pip install '.[lab]'
"""

import torch

from fgrpo import focal_advantages
from fgrpo.theory import update_scale

PROMPTS, RIGHT, WRONG, GROUP_SIZE = 64, 5, 10, 8
RATE = 0.3  # learning rate; another one changes the number of steps and little else
ENOUGH = 0.9  # success rate at which training stops
SEEDS = range(5)
PARTS = torch.tensor([0.6, 0.1, 0.1, 0.1, 0.1])  # of the right answers in the correct mass


def start(success_rates):
    """Return the probabilities of each prompt's answers before training, the right ones first."""
    wrong = ((1 - success_rates)[:, None] / WRONG).expand(PROMPTS, WRONG)
    return torch.cat([success_rates[:, None] * PARTS, wrong], dim=1)


def reward(answers):
    """Verify: 1 for a right answer, 0 for a wrong one."""
    return (answers < RIGHT).float()


def train(probabilities, gamma, learning_rate, seed):
    """Train until the success rate is high enough; return the probabilities then, and the steps."""
    rng = torch.Generator().manual_seed(seed)
    logits = probabilities.log().requires_grad_()
    optimizer = torch.optim.SGD([logits], lr=learning_rate)
    steps = 0
    while probabilities[:, :RIGHT].sum(dim=1).mean() < ENOUGH:
        answers = torch.multinomial(probabilities, GROUP_SIZE, replacement=True, generator=rng)
        rewards = reward(answers).flatten()
        advantages = focal_advantages(rewards, groups=GROUP_SIZE, gamma=gamma)  # this is the line
        log_probabilities = logits.log_softmax(dim=1).gather(1, answers)
        loss = -(advantages.view_as(answers) * log_probabilities).sum() / GROUP_SIZE
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        probabilities = logits.detach().softmax(dim=1)
        steps += 1
    return probabilities, steps


def rare_found(probabilities):
    """Return the share of the rare right answers found within 64 samples, in percent."""
    return 100 * (1 - (1 - probabilities[:, 1:RIGHT]) ** 64).mean().item()


def compare(success_rates):
    """Train each way with every seed, and print a line each: means ± deviations over the seeds."""
    before = start(success_rates)
    print(f"{'before training':27}{'':9}{rare_found(before):6.1f}%")
    for name, gamma, learning_rate in [
        ("GRPO", 0, RATE),
        ("GRPO, lower learning rate", 0, RATE * update_scale(1)),  # steps as small as γ = 1 makes
        ("F-GRPO, γ = 0.5", 0.5, RATE),
        ("F-GRPO, γ = 1", 1, RATE),
    ]:
        runs = [train(before, gamma, learning_rate, seed) for seed in SEEDS]
        found = torch.tensor([rare_found(probabilities) for probabilities, _ in runs])
        steps = sum(steps for _, steps in runs) / len(runs)
        print(f"{name:27}{steps:9.0f}{found.mean():6.1f}% ± {found.std():.1f}")


if __name__ == "__main__":
    head = f"{'':27}{'steps':>9}  rare right answers found"
    print("Prompts of every difficulty, success rates from 5% to 95%", head, sep="\n")
    compare(torch.linspace(0.05, 0.95, PROMPTS))
    print("\nPrompts all equally hard, success rate 50%", head, sep="\n")
    compare(torch.full((PROMPTS,), 0.5))
