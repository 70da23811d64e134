"""The paper's models, to compare recipes with."""

# F-GRPO (arXiv 2602.06717): the length of answers, and γ for GRPO, DAPO and CISPO (table 7).
MODELS = {
    "qwen2.5-7b": ("Qwen/Qwen2.5-7B", 8192, {"grpo": 0.5, "dapo": 0.5, "cispo": 1.0}),
    "qwen3-4b-base": ("Qwen/Qwen3-4B-Base", 4096, {"grpo": 0.5, "dapo": 0.5, "cispo": 0.5}),
    "llama-3.2-3b-instruct": (
        "meta-llama/Llama-3.2-3B-Instruct",
        8192,
        {"grpo": 0.5, "dapo": 1.0, "cispo": 0.5},
    ),
}
