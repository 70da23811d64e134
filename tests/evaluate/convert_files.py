"""Files that other tools wrote, and the records that come of them."""

from pathlib import Path

from fgrpo.evaluate.convert import import_files
from fgrpo.records import read_records

DATA = Path(__file__).parent / "data"
LM_EVAL, INSPECT, LIGHTEVAL, VERL = (
    DATA / name for name in ("lm_eval", "inspect_ai", "lighteval", "verl")
)


def one(folder, start):
    (found,) = folder.glob(f"{start}_2*.jsonl")
    return found


def imported(tmp_path, kind, *paths, **options):
    """Import and return {problem: [correct of samples 0, 1, …]}."""
    out = tmp_path / "out.jsonl"
    out.unlink(missing_ok=True)
    import_files(kind, paths, out, **options)
    found = {}
    for record in read_records(out):
        samples = found.setdefault(record.problem, [])
        assert record.sample == len(samples)
        samples.append(record.correct)
    return found


def records(tmp_path, kind, *paths, **options):
    imported(tmp_path, kind, *paths, **options)
    return {(r.problem, r.sample): r for r in read_records(tmp_path / "out.jsonl")}
