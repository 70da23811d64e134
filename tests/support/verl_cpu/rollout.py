"""``transformers.generate`` as a rollout engine of verl, named ``hf_cpu``; and FSDP on the CPU.

What is drawn depends on the seed, the step whose weights are used, the prompt, and how many times
that prompt was asked for with these weights; not on the order of the requests, nor on what was
drawn before. So a run that was resumed can be compared with one that never stopped.
"""

import asyncio
import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import ray
import torch
from safetensors.torch import save_file
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.rollout import base
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

from support.verl_cpu.settings import FOLDER

NAME = "hf_cpu"


class Server:
    """A copy of the model; an actor of Ray."""

    def __init__(self, path, seed, rank, length):
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self._seed, self._rank, self._length = seed, rank, length
        self._asked = Counter()
        self._step = None
        self._open = asyncio.Event()
        self._open.set()

    async def load(self, weights, step):
        """Take the weights of a step."""
        loaded = self._model.load_state_dict(weights, strict=False)
        tied = set(self._model.all_tied_weights_keys)
        if loaded.unexpected_keys or not tied.issuperset(loaded.missing_keys):
            raise RuntimeError(f"these are not the weights of the model: {loaded}")
        self._model.tie_weights()
        self._step = step
        self._asked.clear()

    async def generate(self, request_id, *, prompt_ids, sampling_params, **_):
        """Draw one completion."""
        await self._open.wait()
        prompt = tuple(prompt_ids)
        self._asked[prompt] += 1
        temperature = sampling_params["temperature"]
        # Replicas of one seed would draw the same for the same prompt.
        place = (self._seed, self._rank, self._step, prompt, self._asked[prompt])
        torch.manual_seed(int.from_bytes(hashlib.sha256(repr(place).encode()).digest()[:7]))
        drawn = self._model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=self._length,
            do_sample=temperature > 0,
            temperature=temperature or None,
            top_k=None,
            top_p=None,
            return_dict_in_generate=True,
            output_logits=True,
        )
        new = drawn.sequences[0, len(prompt) :]
        logits = torch.stack(drawn.logits, 1)[0] / (temperature or 1.0)
        chosen = logits.log_softmax(-1).gather(1, new[:, None])[:, 0]
        with _path("draws", self._step, self._rank, "jsonl").open("a") as file:
            print(json.dumps({"prompt": prompt, "completion": new.tolist()}), file=file)
        return TokenOutput(
            token_ids=new.tolist(),
            log_probs=chosen.tolist(),
            stop_reason="completed",
            extra_fields={"global_steps": self._step},
        )

    async def abort_all_requests(self, **_):
        """Let nothing more be drawn; what is being drawn is finished first."""
        self._open.clear()

    async def resume_generation(self):
        self._open.set()

    async def sleep(self, **_):
        pass

    async def wake_up(self, **_):
        pass

    async def clear_kv_cache(self):
        pass


class Replica(RolloutReplica):
    async def launch_servers(self):
        server = (
            ray.remote(Server)
            .options(name=_name(self.replica_rank), num_cpus=0, max_concurrency=64)
            .remote(
                *(self.model_config.path, self.config.seed),
                *(self.replica_rank, self.config.response_length),
            )
        )
        self.servers = [server]
        self._server_handle = server
        self._server_address = _name(self.replica_rank)


class Adapter(BaseRollout):
    """Hands the weights of a worker to the server of the same rank."""

    async def resume(self, tags):
        pass

    async def release(self):
        pass

    async def update_weights(self, weights, global_steps=None, **_):
        rank = int(os.environ["RANK"])
        copied = {name: tensor.detach().cpu().clone() for name, tensor in weights}
        save_file(copied, _path("weights", global_steps, rank, "safetensors"))
        await ray.get_actor(_name(rank)).load.remote(copied, global_steps)


def _name(rank):
    return f"{NAME}_{rank}"


def _path(kind, step, rank, ending):
    """Return where to leave what a rank drew or was given, for the tests to read."""
    folder = Path(os.environ[FOLDER], kind)
    folder.mkdir(exist_ok=True)
    return folder / f"{step}-{rank}.{ending}"


RolloutReplicaRegistry.register(NAME, lambda: Replica)
base._ROLLOUT_REGISTRY[NAME, "async"] = f"{__name__}.{Adapter.__name__}"
EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device=["cpu"])(
    FSDPEngineWithLMHead
)
