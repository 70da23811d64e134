"""verl's settings for a run on the CPU: overrides and environment."""

import os
from pathlib import Path

from support.verl_cpu.task import LENGTH, PROMPTS

TESTS = Path(__file__).resolve().parents[2]
GROUP = 8  # rollouts of a prompt
FOLDER = "VERL_CPU_FOLDER"  # where the rollout engine leaves what it saw
MARK = "VERL_CPU_RUN"  # tells a run's processes from all others

# The two overrides of docs/verl.md, and what its metrics take.
FOCAL = {"algorithm.adv_estimator": "f_grpo", "+algorithm.focal_gamma": 0.5}
METRICS = {"trainer.v1.trainer_mode": "focal_sync"}
METRICS_MODULE = "fgrpo.integrations.verl.trainer"

ON_THE_CPU = {
    "trainer.device": "cpu",
    "trainer.nnodes": 1,
    "trainer.n_gpus_per_node": 1,
    "actor_rollout_ref.rollout.name": "hf_cpu",
    # Imported where a model is configured; VERL_USE_EXTERNAL_MODULES would load it everywhere.
    "actor_rollout_ref.model.external_lib": "support.verl_cpu.rollout",
    "actor_rollout_ref.model.use_remove_padding": False,
    "actor_rollout_ref.model.enable_gradient_checkpointing": False,
    "+actor_rollout_ref.model.override_config.attn_implementation": "sdpa",
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 1,
    "actor_rollout_ref.rollout.free_cache_engine": False,
    "actor_rollout_ref.actor.strategy": "fsdp2",
    "actor_rollout_ref.actor.use_torch_compile": False,
    # Otherwise verl computes in bfloat16.
    "+actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype": "fp32",
}
SMALL = {
    "data.train_batch_size": PROMPTS,
    "data.max_prompt_length": 64,
    "data.max_response_length": LENGTH,
    "data.dataloader_num_workers": 0,
    "actor_rollout_ref.rollout.n": GROUP,
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 16,
    "actor_rollout_ref.rollout.agent.num_workers": 1,
    "actor_rollout_ref.actor.ppo_mini_batch_size": PROMPTS,
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 16,
    "actor_rollout_ref.actor.optim.lr": 1e-3,
    "reward.num_workers": 1,
    "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
    "trainer.logger": "[console,file]",
    "trainer.val_before_train": False,
    "trainer.total_epochs": 1,
    "trainer.total_training_steps": 2,
    "trainer.resume_mode": "disable",
    "+ray_kwargs.ray_init.include_dashboard": False,
    "+ray_kwargs.ray_init.object_store_memory": 200_000_000,
}
REWARD = {
    "reward.custom_reward_function.path": "pkg://fgrpo.verify.rewards",
    "reward.custom_reward_function.name": "verl_compute_score",
    "+reward.custom_reward_function.reward_kwargs.verifier": "support.verl_cpu.verifier:readable",
}


def overrides(task, folder, changes):
    """Return the settings of a run by their names on verl's command line."""
    files = {
        "actor_rollout_ref.model.path": task / "model",
        "data.train_files": task / "train.parquet",
        "data.val_files": task / "validation.parquet",
        "trainer.rollout_data_dir": folder / "rollouts",
        "trainer.default_local_dir": folder / "checkpoints",
    }
    chosen = ON_THE_CPU | SMALL | REWARD | files | changes
    places = int(chosen["trainer.n_gpus_per_node"])
    return {
        "+ray_kwargs.ray_init.num_gpus": places,
        "ray_kwargs.ray_init.num_cpus": 3 * places + 2,  # verl reserves three for each place
        **chosen,
    }


def environment(folder, ray_folder, modules, mark):
    """Return the environment of a run, of which Ray's workers inherit all."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [kept.get("PYTHONPATH")])]),
        "PYTHONWARNINGS": "ignore",
        "VERL_PLATFORM": "cpu",
        "VERL_USE_EXTERNAL_MODULES": ",".join(["support.verl_cpu.device", *modules]),
        "VERL_FILE_LOGGER_PATH": str(folder / "metrics.jsonl"),
        "RAY_TMPDIR": ray_folder,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray would leave a token in the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": mark,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TQ_NUM_THREADS": "1",
        FOLDER: str(folder),
        MARK: mark,
    }
