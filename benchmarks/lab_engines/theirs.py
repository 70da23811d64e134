"""TRL's step, each after one of the lab's and on the same mazes, always from the same weights."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    PreTrainedTokenizerFast,
    PrinterCallback,
    ProgressCallback,
    Qwen2ForCausalLM,
    TrainerCallback,
)
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig, GRPOTrainer

from fgrpo import maze
from fgrpo.errors import UsageError
from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
from fgrpo.lab.sampling import Rollouts
from fgrpo.lab.task import Walls
from fgrpo.maze import VOCAB_SIZE, Token
from lab_engines.options import Options
from lab_engines.task import make_task
from lab_engines.turns import Meter, Turn


class TrlTurns(TrainerCallback):
    """Runs another engine's step before each of TRL's, and times TRL's.

    Parameters
    ----------
    options
        The call's.
    folder
        Of the weights that every step begins with.
    mazes
        Those of each step, in turn.
    """

    def __init__(self, options: Options, folder: Path, mazes: list[Walls]) -> None:
        self.turns: list[Turn] = []
        self._options = options
        self._task = make_task(options)
        self._walls = np.concatenate(mazes)
        self._rewards: torch.Tensor = torch.zeros(0)
        self._tokens = 0
        self._sampling = 0.0
        self._before: Callable[[int], object] = lambda step: None
        self._trainer = self._make(folder, len(mazes))
        self._weights = {n: t.clone() for n, t in self._trainer.model.state_dict().items()}

    def logprobs(self, rollouts: Rollouts) -> torch.Tensor:
        """Return the log-probabilities (G, N, T) with which TRL would train on these responses."""
        groups, size, most = rollouts.tokens.shape
        responses = rollouts.tokens.flatten(0, 1)
        prompts = rollouts.prompts.repeat_interleave(size, 0)
        mask = torch.cat([torch.ones_like(prompts), rollouts.mask.flatten(0, 1).long()], 1)
        trainer = self._trainer
        with torch.no_grad():
            found, *_ = trainer._get_per_token_logps_and_entropies(
                trainer.model, torch.cat([prompts, responses], 1), mask, most, batch_size=32
            )
        return found.float().view(groups, size, most)

    def run(self, before: Callable[[int], object]) -> None:
        """Take all steps; ``before`` is called ahead of each, with its number."""
        self._before = before
        self._trainer.train()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._before(state.global_step)
        self._trainer.model.load_state_dict(self._weights)
        torch.set_num_threads(self._options.threads)
        self._meter = Meter(self._options.device)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        took = self._meter.read()
        right = self._rewards.view(-1, self._options.recipe.arms[0].group_size).mean(1)
        self.turns.append(
            Turn(
                **took,
                sampling=self._sampling,
                rollouts=len(self._rewards),
                tokens=self._tokens,
                reward=float(right.mean()),
                mixed=float(((right > 0) & (right < 1)).float().mean()),
            )
        )

    def _reward(self, completion_ids: list[list[int]], which: list[int], **_: Any) -> list[float]:
        """Score responses to the mazes ``which``; remember what the turn will tell."""
        responses = np.full((len(completion_ids), max(map(len, completion_ids))), int(Token.PAD))
        for row, ids in zip(responses, completion_ids, strict=True):
            row[: len(ids)] = ids
        self._rewards = self._task.rewards(self._walls[which], torch.from_numpy(responses))
        self._tokens = sum(map(len, completion_ids))
        found: list[float] = self._rewards.tolist()
        return found

    def _make(self, folder: Path, steps: int) -> GRPOTrainer:
        disable_progress_bar()
        model = Qwen2ForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa"
        )
        if model.config.max_position_embeddings < self._options.length:
            raise UsageError(
                f"--model {folder} was made for {model.config.max_position_embeddings} tokens and "
                f"--size {self._options.recipe.maze.size} takes {self._options.length}; give a "
                "model of that size"
            )
        plain = self._options.recipe.arms[0].gamma == 0
        trainer = (GRPOTrainer if plain else FocalGRPOTrainer)(
            model=model,
            processing_class=tokenizer(),
            reward_funcs=self._reward,
            args=self._configuration(steps),
            train_dataset=Dataset.from_dict(
                {
                    "prompt": [" ".join(words(p)) for p in maze.encode_prompts(self._walls)],
                    "which": list(range(len(self._walls))),
                }
            ),
            callbacks=[self],
        )
        for silent in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(silent)
        generate = trainer._generate_and_score_completions

        def timed(inputs: Any) -> Any:
            began = time.perf_counter()
            output = generate(inputs)
            self._sampling = time.perf_counter() - began
            return output

        trainer._generate_and_score_completions = timed
        return trainer

    def _configuration(self, steps: int) -> GRPOConfig:
        """Return what the lab's step does, in TRL's words; the rest for speed."""
        recipe = self._options.recipe
        arm, on_cuda = recipe.arms[0], self._options.device.type == "cuda"
        low, high = arm.clip_bounds
        focal = {} if arm.gamma == 0 else {"focal_gamma": arm.gamma}
        return (FocalGRPOConfig if focal else GRPOConfig)(
            output_dir=tempfile.gettempdir(),  # nothing is saved
            num_generations=arm.group_size,
            per_device_train_batch_size=self._options.trl_batch,
            gradient_accumulation_steps=self._options.rollouts // self._options.trl_batch,
            max_steps=steps,
            max_completion_length=recipe.maze.response_cap,
            shuffle_dataset=False,
            num_iterations=1,
            temperature=arm.temperature,
            top_p=1.0,
            top_k=0,
            loss_type="dapo",  # in TRL: the mean over all tokens of the batch
            epsilon=low,
            epsilon_high=high,
            beta=0.0,
            scale_rewards="group",
            mask_truncated_completions=False,
            learning_rate=arm.learning_rate,
            lr_scheduler_type="constant",
            weight_decay=arm.weight_decay,
            max_grad_norm=arm.max_grad_norm,
            optim="adamw_torch_fused",
            bf16=recipe.precision == "bf16",
            use_cpu=not on_cuda,
            use_vllm=False,
            gradient_checkpointing=False,
            disable_dropout=True,
            dataloader_pin_memory=on_cuda,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **focal,
        )


def words(tokens: Any) -> Iterator[str]:
    """Write token ids as words of the tokenizer."""
    return (f"<{int(token)}>" for token in tokens)


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer that reads what `words` writes, joined by spaces: a word, a token."""
    model = Tokenizer(WordLevel({word: i for i, word in enumerate(words(range(VOCAB_SIZE)))}))
    model.pre_tokenizer = WhitespaceSplit()
    pad, bos, eos = words([Token.PAD, Token.BOS, Token.EOS])
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token=pad, bos_token=bos, eos_token=eos, padding_side="left"
    )
