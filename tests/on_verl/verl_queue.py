"""A stand-in for the transfer queue, and rollouts stored in it by verl's own agent loop worker."""

import asyncio
from types import SimpleNamespace

import torch
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.trainer.ppo.v1 import AgentLoopWorkerTQ

PARTITION = "train"
_WORKER = AgentLoopWorkerTQ.__ray_metadata__.modified_class


class Queue:
    """Holds rows in this process, and hands them over packed as verl's transfer queue does."""

    def __init__(self, monkeypatch):
        self.rows, self.tags = {}, {}
        for name in ("kv_batch_get", "kv_batch_put", "async_kv_batch_put"):
            monkeypatch.setattr(f"transfer_queue.{name}", getattr(self, name))

    def kv_batch_put(self, keys, partition_id, fields=None, tags=None):
        assert partition_id == PARTITION
        for name in fields.keys():  # noqa: SIM118  # a TensorDict iterates over its rows
            for key, value in zip(keys, list(fields[name]), strict=True):
                self.rows.setdefault(key, {})[name] = value
        self.tags.update(zip(keys, tags or [], strict=False))
        return self.meta(keys)

    async def async_kv_batch_put(self, **given):
        return self.kv_batch_put(**given)

    def kv_batch_get(self, keys, partition_id, select_fields=None):
        assert partition_id == PARTITION
        rows = [self.rows[key] for key in keys]
        there = set.intersection(*map(set, rows))
        names = there if select_fields is None else there.intersection(select_fields)
        pack = AsyncSimpleStorageManager._pack_field_values
        columns = {name: pack([row[name] for row in rows]) for name in names}
        return TensorDict(columns, batch_size=len(keys))

    def meta(self, keys):
        return KVBatchMeta(
            keys=list(keys), tags=[self.tags[key] for key in keys], partition_id=PARTITION
        )

    def store(self, uid, session, lengths, reward, extra=None):
        """Store a rollout whose agent loop had an output of each of these lengths."""

        async def score(outputs, kwargs):
            outputs[-1].reward_score = reward
            outputs[-1].extra_fields["reward_extra_info"] = extra if extra is not None else {}

        async def teach(*_, **__):
            pass

        worker = SimpleNamespace(
            _compute_score=score,
            _compute_teacher_logprobs=teach,
            _compute_multi_modal_inputs=lambda *_: {},
            _compute_position_ids=lambda ids, *_: torch.arange(ids.shape[1])[None],
        )
        outputs = [
            AgentLoopOutput(
                prompt_ids=[1, 2],
                response_ids=list(range(length or 1)),
                response_mask=[1] * length or [0],
                metrics=AgentLoopMetrics(),
                extra_fields={},
            )
            for length in lengths
        ]
        stored = _WORKER._agent_loop_postprocess(
            worker, outputs, False, uid=uid, session_id=session, global_steps=1
        )
        asyncio.run(stored)

    def put(self, name, values):
        """Store a value of each of some rows, by key."""
        for key, value in values.items():
            self.rows[key][name] = value
