"""TRL's own loss of tokens whose log-probabilities are given."""

from unittest.mock import patch

import torch
from datasets import Dataset

from tiny_llm import byte_tokenizer, tiny_model


def idle_trainer(trainer_class, config):
    """Return a trainer that is ready to compute losses, and is not to train."""
    trainer = trainer_class(
        model=tiny_model(),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["?"]}),
        processing_class=byte_tokenizer(),
    )
    trainer.model.train()
    return trainer


def loss_and_gradient(trainer, log_probs, mask, **inputs):
    """Return the loss and its gradient by the log-probabilities.

    ``inputs`` are those of TRL's ``_compute_loss`` beside prompts and completions; without
    ``num_items_in_batch`` it is the mask's sum.
    """
    leaf = log_probs.clone().requires_grad_()
    given = (leaf, torch.zeros_like(log_probs), None)
    prompts = torch.ones(len(mask), 2, dtype=torch.long)
    batch = {
        "prompt_ids": prompts,
        "prompt_mask": prompts,
        "completion_ids": torch.ones_like(mask),
        "completion_mask": mask,
        "num_items_in_batch": mask.sum(),
        **inputs,
    }
    name = "_get_per_token_logps_and_entropies"
    with patch.object(trainer, name, lambda *_, **__: given):
        loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    return loss.detach(), leaf.grad
