"""docs/verl.md: verl composes what is shown; tests/on_verl runs it."""

PYTHON = "verl"
REPLACED = [
    (r"^(python -m verl.trainer.main_ppo) \.\.\.", r"\1 --cfg job"),
    (r"^(python -m verl.trainer.main_ppo --config-path .*)", r"\1 --cfg job"),
    (r"--tokenizer Qwen/Qwen2.5-7B", "--tokenizer tiny-model --from sums.jsonl --validation 1"),
]
NOT_RUN = {
    r"^ray start": "a cluster of several machines",
    r"^python -m verl.model_merger": "needs a checkpoint of a training on GPUs",
    r"^fgrpo evaluate --model runs/merged": "needs what verl.model_merger makes",
    r"^\+?reward.custom_reward_function": "overrides: tests/on_verl/test_verl_runs.py has them",
}


def prepare():
    from docs_check import small

    small.model("tiny-model")
    small.questions("sums.jsonl")


def check(names, printed):
    assert printed.count("adv_estimator: f_grpo") >= 4
    assert "focal_gamma: 0.5" in printed
