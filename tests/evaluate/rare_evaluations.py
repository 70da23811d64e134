"""An evaluation whose right answers and their ΔNLL_rare are known by hand."""

from nll_models import network, tokenizer
from test_nll import by_hand

from fgrpo.evaluate.folder import keep_problems, note_run
from fgrpo.evaluate.nll import Tokens
from fgrpo.evaluate.problem import Problem
from fgrpo.evaluate.rare.models import Model
from fgrpo.evaluate.texts import TextStore
from fgrpo.records import Record, RecordStore

PROBLEMS, SAMPLES = 9, 4
WORDS = ["12", "a b c", "so 7", "x=3", "nine", "2+2=4", "", "zz top."]


def text_of(p, s):
    return WORDS[(3 * p + 5 * s) % len(WORDS)] * (1 + (p + s) % 3)


def record_of(p, s, **fields):
    correct, truncated = (p + s) % 3 > 0, (p * s) % 4 == 1
    # An empty answer that was cut off has no token at all, which no sampler gives.
    truncated = truncated and text_of(p, s) != ""
    return Record(f"toy/{p}", s, correct, truncated=truncated, **fields)


def messages_of(p):
    return ({"role": "system", "content": "add"}, {"role": "user", "content": f"{p}+{p}=?"})


def evaluation(folder, *, fields=lambda p, s: {}, settings=None, texts=True):
    """Write an evaluation's folder."""
    folder.mkdir(exist_ok=True)
    asked = [Problem(f"toy/{p}", "?", "exact", "4") for p in range(PROBLEMS)]
    keep_problems(folder, asked, {f"toy/{p}": messages_of(p) for p in range(PROBLEMS)})
    given = {"temperature": 1.0, "top_p": 1.0, "chat": True, "thinking": None}
    note_run(folder, {}, given | (settings or {}), {}, {})
    every = [(p, s) for s in range(SAMPLES) for p in range(PROBLEMS)]
    with RecordStore.open(folder / "records.jsonl") as store:
        if texts:
            with TextStore(folder / "texts.jsonl.gz", store.has) as kept:
                for p, s in every:
                    kept.append([(f"toy/{p}", s, text_of(p, s))])
        store.extend(record_of(p, s, **fields(p, s)) for p, s in every)
    return folder


def base_of(models):
    return Model("base", str(models[0]), dtype="float32", device="cpu")


def row_of(p, s, *, chat=True):
    """The tokens by hand: template, then text, then the end token."""
    letters = tokenizer()
    encode = lambda text: tuple(letters.convert_tokens_to_ids(list(text)))  # noqa: E731
    prompt = f"s|add|u|{p}+{p}=?|a|" if chat else f"add\n\n{p}+{p}=?"
    end = () if record_of(p, s).truncated else (1,)
    return Tokens(0, encode(prompt), encode(text_of(p, s)) + end)


RIGHT = [(p, s) for s in range(SAMPLES) for p in range(PROBLEMS) if (p + s) % 3 > 0]


def all_by_hand(seed, **kwargs):
    model = network(seed)
    return {(f"toy/{p}", s): by_hand(model, row_of(p, s, **kwargs)) for p, s in RIGHT}
