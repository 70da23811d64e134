"""Train the tiny model with TRL as a program: the fork of a server, with words FOLDER JSON.

The JSON maps names of runs, made one after another, to their settings: ``config``, fields of the
trainer's configuration, and optionally

- ``plain``: use TRL's own GRPOTrainer
- ``prompts``: how many
- ``drawn``: the rollouts are those of `drawn_rollouts`, not the model's
- ``stop_before``: the step at which to give up this run, if others follow, or else to leave a file
  ``stopped-PID`` and wait to be killed
- ``resume``: from the last checkpoint

Each run leaves in ``FOLDER/name`` the weights and, from each process, ``rank*.json``: the logs, and
the advantages trained on.
"""

import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path.append(str(TESTS))

import forks  # noqa: E402

WAIT = 120  # seconds to be killed in; nobody left waiting for ever
COMMON = {
    "focal_threshold": 1.0,
    "max_completion_length": 8,
    "optim": "sgd",  # Adam and clipping would hide a gradient that is wrong by a factor
    "max_grad_norm": 0.0,
    "learning_rate": 0.5,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
}


def start_server():
    """Return a server of this program, to be used in a ``with`` statement."""
    # rollout_func is experimental
    return forks.Server(__file__, environment={**os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"})


class Job:
    """This program on one process, or on several that are told of one another as by torchrun."""

    def __init__(self, server, folder, runs, processes=1):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._processes = [
            server.start(
                *(folder, json.dumps(runs)),
                folder=folder,
                environment=environment,
                said=folder / f"{'-'.join(runs)}-{rank}",
            )
            for rank, environment in enumerate(_environments(processes))
        ]

    def _said(self):
        return "\n".join(process.err[-4000:] for process in self._processes)

    def _fail_if_one_failed(self):
        """Fail without waiting for the others, which wait for the one."""
        assert all(process.poll() in (None, 0) for process in self._processes), self._said()

    def finish(self, seconds=180):
        """Wait for it to end well."""
        end = time.monotonic() + seconds
        while any(process.poll() is None for process in self._processes):
            self._fail_if_one_failed()
            assert time.monotonic() < end, self._said()
            time.sleep(0.02)
        self._fail_if_one_failed()

    def kill_when_stopped(self, seconds=180):
        """Kill it without notice when its last run has come to ``stop_before``."""
        end = time.monotonic() + seconds
        stopped = [self._folder / f"stopped-{process.pid}" for process in self._processes]
        while not all(path.exists() for path in stopped):
            ended = [process.poll() for process in self._processes]
            assert ended.count(None) == len(ended), self._said()
            assert time.monotonic() < end, self._said()
            time.sleep(0.02)
        for process in self._processes:
            process.signal(signal.SIGKILL)
        codes = [process.wait(10).code for process in self._processes]
        assert codes == [-signal.SIGKILL] * len(codes)


def _environments(processes):
    """Return what torchrun sets for each process of several."""
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    size = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    return [
        {**shared, **size, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)
    ]


def drawn_rollouts(prompts, trainer):
    """Draw each completion from its step, prompt and place in the group, whoever asks for it."""
    words = trainer.processing_class
    first = trainer.accelerator.process_index * len(prompts)
    completions = []
    for row, prompt in enumerate(prompts, first):
        place = row % trainer.num_generations
        draw = random.Random(f"{trainer.state.global_step} {prompt} {place}")
        text = "".join(draw.choices("abcdefgh", k=draw.randint(1, 7)))
        completions.append([*words(text).input_ids, words.eos_token_id])
    return {
        "prompt_ids": words(prompts).input_ids,
        "completion_ids": completions,
        "logprobs": None,
    }


def correct(completion_ids, level, **_):
    """One in ``level`` is right, more or less; one in 11 cannot be scored."""
    sums = [sum(ids) for ids in completion_ids]
    return [
        None if total % 11 == 0 else float(total % of == 0)
        for total, of in zip(sums, level, strict=True)
    ]


class GivenUpError(Exception):
    """A run came to its ``stop_before``."""


def train(folder, settings, last):
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
    from tiny_llm import byte_tokenizer, tiny_model

    plain = settings.get("plain", False)
    advantages = []

    class Recorded(GRPOTrainer if plain else FocalGRPOTrainer):
        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            advantages.append(output["advantages"].tolist())
            return output

    class StopBefore(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step + 1 == settings["stop_before"]:
                if not last:
                    raise GivenUpError
                (folder.parent / f"stopped-{os.getpid()}").touch()
                time.sleep(WAIT)
                raise TimeoutError("not killed")

    config = {**COMMON, **settings["config"], "output_dir": str(folder)}
    if plain:
        config = {name: value for name, value in config.items() if not name.startswith("focal_")}
    count = settings.get("prompts", 24)
    trainer = Recorded(
        model=tiny_model(),
        processing_class=byte_tokenizer(chat=False),
        reward_funcs=correct,
        args=(GRPOConfig if plain else FocalGRPOConfig)(**config),
        train_dataset=Dataset.from_dict(
            {"prompt": [f"q{i}:" for i in range(count)], "level": [1 + i % 4 for i in range(count)]}
        ),
        rollout_func=drawn_rollouts if settings.get("drawn") else None,
        callbacks=[StopBefore()] if "stop_before" in settings else None,
    )
    trainer.train(resume_from_checkpoint=settings.get("resume", False))
    trainer.save_model()
    rank = trainer.accelerator.process_index
    (folder / f"rank{rank}.json").write_text(
        json.dumps({"advantages": advantages, "logs": trainer.state.log_history})
    )
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def main():
    runs = json.loads(sys.argv[2])
    for name, settings in runs.items():
        with contextlib.suppress(GivenUpError):
            train(Path(sys.argv[1]) / name, settings, last=name == [*runs][-1])


if __name__ == "__main__":
    # All that a run imports, so that no fork has to.
    import torch._dynamo  # noqa: F401
    import trl.trainer.grpo_trainer  # noqa: F401

    import tiny_llm  # noqa: F401

    forks.serve(main)
