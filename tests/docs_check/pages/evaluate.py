"""docs/evaluate.md: stand-in servers, models of a few weights, and other tools' own logs."""

import re
from pathlib import Path

REPLACED = [
    (r"--samples 1024 \\$", r"--samples 16 {tables} \\"),
    (r"http://127.0.0.1:8000/v1", "{first}"),
    (r"http://127.0.0.1:8001/v1", "{second}"),
    # The third arm is trained and sampled like the second, which the page shows.
    (r"^(fgrpo compare runs/base runs/grpo runs/focal)", r"cp runs/grpo/*.* runs/focal; \1"),
    (r"--base-model Qwen/Qwen2.5-7B \\$", r"--base-model guesser --share 0.2 \\"),
    (r"--metric exact_match --filter strict-match", "--metric exact_match --filter strict"),
    (r"details.parquet --mean", r"\g<0> --metric avg@n:n=3"),
    (r"inspect-ai logs/", r"\g<0> --metric match"),
    (r"--out base.jsonl", "--out imported-$LINENO.jsonl"),
]


def prepare():
    import faulty_server

    from docs_check import small

    # A right answer now and then.
    faulty_server.text_of = lambda prompt, seed: rf"\boxed{{{seed * 7919 % 8}}}"
    servers = faulty_server.serving(faulty_server.answer, faulty_server.answer)
    first, second = servers.__enter__()  # they end with the page's process
    for seed, folder in enumerate(("guesser", "runs/grpo/final", "runs/focal/final")):
        small.guesser(folder, seed)
    small.questions("sums.jsonl")
    small.logs(
        ("lm_eval/samples_sums_single_*.jsonl", "out/samples_gsm8k_1.jsonl"),
        ("inspect_ai/sums.eval", "logs/sums.eval"),
        ("lighteval/details_sums3.parquet", "details.parquet"),
        ("verl/20.jsonl", "validation_data/200.jsonl"),
    )
    return {
        "servers": servers,
        "first": first.url,
        "second": second.url,
        "tables": "--data aime24=sums.jsonl --data math500=sums.jsonl",
    }


def check(names, printed):
    from docs_check.blocks import ROOT

    page = ROOT / "docs" / "evaluate.md"
    assert [(one.outcome.name, one.reason) for one in names["verdicts"]] == [
        ("CORRECT", ""),
        ("UNVERIFIABLE", "time-out"),
    ]
    assert Path("runs/comparison/report.html").exists()
    assert Path("runs/rare").is_dir()
    assert len([*Path().glob("imported-*.jsonl"), Path("grpo.jsonl")]) == 4
    shown = re.findall(r"^\| (\S+|in all) \|(.*unknown.*)\|$", page.read_text(), re.MULTILINE)
    assert len(shown) == 9
    for name, cells in shown:
        row = [name, *filter(None, (cell.strip() for cell in cells.split("|")))]
        assert re.search(r"\s+".join(map(re.escape, row)), printed), row
