"""docs/group-size.md."""

REPLACED = [
    (r"^fgrpo simulate(?= +#)", "fgrpo simulate {small}"),
    (r"^fgrpo simulate(?= --(group|reward|logits))", "fgrpo simulate --steps 5 --actions 1000"),
    (r"(--steps 5) --actions 1000 --logits", r"\1 --group-sizes 2 8 --logits"),
    (r"--actions 1000 --reward", "--actions 1000 --correct 100 --group-sizes 2 64 --reward"),
    (r"--actions 1000 --group", "--actions 1000 --correct 100 --group"),
]


def prepare():
    from pathlib import Path

    from docs_check import small

    small.records("runs/maze-small/base/records/step-000000.jsonl")
    small.records("runs/base/records.jsonl", seed=1)
    Path("my-policy.csv").write_text(
        "logit,correct,count\n3.0,1,1\n1.0,1,10\n0.0,0,100\n", encoding="utf-8"
    )
    return {"small": "--steps 5 --actions 1000 --correct 100 --group-sizes 2 64"}


def check(names, printed):
    assert names["plan"].parts[0].curves.worst == (9, 8)
    assert 0 < names["run"].m_ret[-1] <= 1
