"""verl reads the tables of ``fgrpo data``, and drops none of their prompts."""

import contextlib
import json
import shlex

import pytest
from omegaconf import OmegaConf
from tokenizers.processors import TemplateProcessing
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.utils.import_utils import load_extern_object
from verl.utils.reward_score import default_compute_score

from fgrpo.cli import main
from fgrpo.data.deepscaler import SOURCE
from tiny_llm import byte_tokenizer

SYSTEM = "Solve."
LIMIT = 50  # of 27 to 63 tokens
TEXTS = ["π" * n + "a" * m for n in range(10) for m in range(20) if n + m]
SWITCHED = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}>{% endif %}"
    "{% if enable_thinking is defined and not enable_thinking %}12345678{% endif %}"
)


def starts_with(token):
    """Put a token before every text, unless told not to add special tokens."""
    return TemplateProcessing(f"{token} $A", special_tokens=[(token, 256)])


@pytest.fixture
def words(tmp_path):
    """A tokenizer whose template and post-processing add what a careless count would miss."""
    made = byte_tokenizer()
    made.add_special_tokens({"bos_token": "<|endoftext|>"})
    made.backend_tokenizer.post_processor = starts_with("<|endoftext|>")
    made.chat_template = SWITCHED
    made.save_pretrained(tmp_path / "qwen3-tiny")
    return made


@pytest.fixture
def data(tmp_path, words, monkeypatch, capsys):
    """Run the command; return its folder and the overrides that it prints for verl."""
    rows = [{"problem": text, "answer": str(n)} for n, text in enumerate(TEXTS)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    monkeypatch.chdir(tmp_path)

    def run(out, limit, validation):
        options = ["--from", "rows.json", "--system-prompt", SYSTEM, "--out", out]
        options += ["--max-prompt-tokens", str(limit), "--validation", str(validation)]
        command = ["fgrpo", "data", "deepscaler", "--tokenizer", "./qwen3-tiny", *options]
        monkeypatch.setattr("sys.argv", command)
        with contextlib.suppress(SystemExit):
            main()
        (line,) = [li for li in capsys.readouterr().out.splitlines() if li.startswith("verl: ")]
        return shlex.split(line.removeprefix("verl: "))

    return run


def compose(overrides):
    """Return verl's configuration with these overrides."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides)


def read(files, words, config, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    more = {"filter_overlong_prompts_workers": 1, "filter_overlong_prompts": True}
    return RLHFDataset(files, words, OmegaConf.merge(config, OmegaConf.create(more)))


def test_verls_own_filter_agrees_at_the_limit(data, words, tmp_path, monkeypatch):
    """Ours at the limit leaves what verl's leaves of all prompts, to the token."""
    everything = compose(data("all", 1000, 0)).data
    assert OmegaConf.select(everything, "apply_chat_template_kwargs.enable_thinking") is False
    OmegaConf.update(everything, "max_prompt_length", LIMIT)
    verls = read("all/verl/train.parquet", words, everything, tmp_path, monkeypatch)
    config = compose(data("ours", LIMIT, 3)).data
    assert config.max_prompt_length == LIMIT
    ours = [
        read(files, words, config, tmp_path, monkeypatch)
        for files in (config.train_files, config.val_files)
    ]
    assert len(ours[1]) == 3
    kept = sorted(row["index"] for part in ours for row in part)
    assert kept == [row["index"] for row in verls]
    # 26 tokens for the system prompt and the template, 2 for π, 1 for a.
    assert kept == [n for n, text in enumerate(TEXTS) if 26 + len(text.encode()) <= LIMIT]


def test_a_row_is_a_prompt_with_what_the_reward_needs(data, words, tmp_path, monkeypatch):
    config = compose(data("made", LIMIT, 3)).data
    rows = read(config.train_files, words, config, tmp_path, monkeypatch)
    first = rows[0]
    assert first["raw_prompt"] == [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": TEXTS[first["index"]]},
    ]
    batch = collate_fn([rows[n] for n in range(4)])
    score = load_extern_object("pkg://fgrpo.verify.rewards", "verl_compute_score")
    for n in range(4):
        truth = batch["reward_model"][n]["ground_truth"]
        assert isinstance(truth, str)
        assert truth == str(batch["extra_info"][n]["index"])
        for answer, right in ((truth, 1.0), (truth + "5", 0.0)):
            given = {
                "data_source": batch["data_source"][n],
                "solution_str": rf"So \boxed{{{answer}}}.",
                "ground_truth": truth,
                "extra_info": batch["extra_info"][n],
            }
            assert score(**given) == {"score": right, "acc": right, "unverifiable": 0.0}


def test_no_reward_of_verls_own_is_taken_by_mistake():
    with pytest.raises(NotImplementedError, match=SOURCE):
        default_compute_score(SOURCE, r"\boxed{2}", "2")
