"""What pages need beforehand, small. Imported by their notes, inside ``prepare``."""

import json
import random
import re
import shutil
from pathlib import Path

from docs_check.blocks import ROOT

# Behind `fgrpo run RECIPE`: every part of an experiment, in seconds.
MAZES = (
    "--set maze.size=5 --set maze.max_response_tokens=10 --set model.hidden_size=16"
    " --set model.num_hidden_layers=1 --set model.num_attention_heads=2"
    " --set model.num_key_value_heads=1 --set model.intermediate_size=32 --set sft.steps=4"
    " --set train.steps=2 --set train.prompts_per_step=2 --set evaluation.problems=2"
    " --set evaluation.samples=4 --set evaluation.every=1 --set 'seeds=[1]'"
)
# Behind `fgrpo train`.
TRAINING = (
    "--use_cpu true --bf16 false --max_steps 2 --save_steps 1 --max_completion_length 8"
    " --per_device_train_batch_size 8 --gradient_accumulation_steps 1"
)


def model(*folders):
    """Save a language model that can be trained, a byte a token."""
    from tiny_llm import save_tiny

    first, *others = map(Path, folders)
    save_tiny(first)
    for other in others:
        shutil.copytree(first, other)


def guesser(folder, seed=0):
    """Save a language model of which every token is an answer, so that some are right."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = ["<unk>", "<end>", *(rf"\boxed{{{i}}}" for i in range(8))]
    words = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(names),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        eos_token="<end>",
        pad_token="<unk>",
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
    ).save_pretrained(folder)


def questions(*files):
    """Write sums as the tables of aime24 and math500 hold them; the answers are below 8."""
    rows = [
        {
            "problem": f"What is {n} + 1?",
            "answer": str(n + 1),
            "id": str(n),
            "unique_id": str(n),
            "subject": "sums",
            "level": 1,
        }
        for n in range(4)
    ]
    for file in files:
        Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows))


def records(file, problems=16, samples=64, right=0.3, seed=0):
    """Write records of problems of different difficulty, with texts."""
    from fgrpo.records import Record, RecordStore

    rng = random.Random(seed)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with RecordStore.open(file, meta={"model": f"made-up {seed}"}) as store:
        for problem in range(problems):
            rate = rng.betavariate(2 * right, 2 - 2 * right)
            for sample in range(samples):
                correct = rng.random() < rate
                text = rf"\boxed{{{rng.choice('123')}}}" if correct else r"\boxed{0}"
                store.append(Record(f"sums/{problem}", sample, correct, text=text))


def logs(*pairs):
    """Copy other tools' logs, from the tests' own to where a page has them."""
    for own, shown in pairs:
        Path(shown).parent.mkdir(parents=True, exist_ok=True)
        (file,) = (ROOT / "tests" / "evaluate" / "data").glob(own)
        shutil.copy(file, shown)


def require_outputs(page, printed, *, without=()):
    """Assert that what a page shows as output, its ``text`` blocks, was printed line by line.

    ``without`` counts from 0: blocks that show a part of wider lines. A line "…" leaves some out.
    """
    text = (ROOT / page).read_text()
    found = re.findall(r"^```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, f"{page} shows no output"
    for number, output in enumerate(found):
        for line in output.splitlines() if number not in without else ():
            assert line == "…" or line in printed, f"this is shown, but not printed: {line}"
