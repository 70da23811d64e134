"""Train the tiny model with TRL as a program: ``python trl_job.py FOLDER JSON``.

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
import subprocess
import sys
import time
from pathlib import Path

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


class Job:
    """This program, started on one or more processes.

    Use it in a ``with`` statement, which leaves nothing running.
    """

    def __init__(self, folder, runs, processes=1):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        paths = [os.environ.get("PYTHONPATH"), str(Path(__file__).parents[1])]
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._processes = folder, processes
        self._said = folder / f"{'-'.join(runs)}.txt"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *(launch if processes > 1 else []),
                    *(__file__, str(folder), json.dumps(runs)),
                ],
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                    "TRL_EXPERIMENTAL_SILENCE": "1",  # rollout_func is experimental
                },
                stdout=said,
                stderr=said,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.terminate()  # the launcher of several processes ends them
        self._process.wait(timeout=60)

    def finish(self, seconds=180):
        """Wait for it to end well."""
        assert self._process.wait(timeout=seconds) == 0, self._said.read_text()[-4000:]

    def kill_when_stopped(self, seconds=180):
        """Kill it without notice when its last run has come to ``stop_before``."""
        end = time.monotonic() + seconds
        while len(stopped := list(self._folder.glob("stopped-*"))) < self._processes:
            running = self._process.poll() is None and time.monotonic() < end
            assert running, self._said.read_text()[-4000:]
            time.sleep(0.05)
        self._process.kill()
        for path in stopped:  # launched processes outlive the launcher
            pid = int(path.name.removeprefix("stopped-"))
            if pid != self._process.pid:
                os.kill(pid, signal.SIGKILL)
        assert self._process.wait(timeout=10) == -signal.SIGKILL


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


if __name__ == "__main__":
    runs = json.loads(sys.argv[2])
    for name, settings in runs.items():
        with contextlib.suppress(GivenUpError):
            train(Path(sys.argv[1]) / name, settings, last=name == [*runs][-1])
