"""An evaluation's notes in its folder: what was used, what held, what it may still cost."""

import json
from dataclasses import replace

import pytest
from stand_ins import DigestPool, DigestSampler

from fgrpo.errors import RunError
from fgrpo.evaluate.prompts import PromptSettings
from fgrpo.evaluate.session import Evaluation, costs, evaluate
from fgrpo.evaluate.texts import read_texts
from fgrpo.records import read_records


class Total(DigestSampler):
    """Counts tokens in total only, as servers do for several choices."""

    def _answer(self, request):
        request, completions = super()._answer(request)
        return request, [replace(one, tokens=None) for one in completions]


class Failing(Total):
    """Gives up after two requests."""

    def sample(self, requests):
        for i, answer in enumerate(super().sample(requests)):
            if i == 2:
                raise RunError("the server is gone")
            yield answer


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "toy.jsonl"
    rows = [{"problem": f"What is {i}?", "answer": str(i)} for i in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked(questions, samples=8):
    return Evaluation(
        benchmarks=[str(questions)],
        samples=samples,
        prompts=PromptSettings(),
        identity={"model": "toy"},
        chunk=4,
    )


def go(evaluation, folder, sampler=None, **layers):
    warnings = []
    tally = evaluate(
        evaluation,
        folder,
        lambda: sampler or Total(),
        lambda: DigestPool(**(layers or {"limits": "active"})),
        about_run={"command": "fgrpo evaluate"},
        about_pool={"seconds": 3.0},
        warn=warnings.append,
    )
    return tally, warnings, json.loads((folder / "evaluation.json").read_text())["runs"]


def lengths(folder):
    return [int(text[:2], 16) for _, _, text in read_texts(folder / "texts.jsonl.gz")]


def test_a_run_notes_what_was_used(tmp_path, questions):
    tally, _, (run,) = go(asked(questions), tmp_path / "run")
    assert {record.tokens for record in read_records(tmp_path / "run/records.jsonl")} == {None}
    done = run["done"]
    assert (done["samples"], done["correct"]) == (40, tally.correct)
    timed_out = sum(record.timed_out for record in read_records(tmp_path / "run/records.jsonl"))
    assert done["unverifiable"] == {"time-out": timed_out}
    assert done["usage"]["completion_tokens"] == sum(lengths(tmp_path / "run"))
    assert done["usage"]["prompt_tokens"] == 10 * 7


def test_a_run_notes_the_layers_that_held(tmp_path, questions):
    layers = {"limits": "active", "seccomp": "active"}
    _, warnings, (run,) = go(asked(questions), tmp_path / "run", **layers)
    assert run["verification"] == {"seconds": 3.0, "layers": layers}
    assert warnings == []


def test_layers_that_are_missing_are_named_once(tmp_path, questions):
    layers = {"limits": "active", "namespaces": "Operation not permitted", "landlock": "no kernel"}
    _, (warning,), _ = go(asked(questions), tmp_path / "run", **layers)
    assert "namespaces (Operation not permitted); landlock (no kernel)" in warning
    assert "limits" not in warning


def test_a_run_that_failed_notes_what_it_did(tmp_path, questions):
    folder = tmp_path / "run"
    with pytest.raises(RunError, match="the server is gone"):
        go(asked(questions), folder, Failing())
    (run,) = json.loads((folder / "evaluation.json").read_text())["runs"]
    assert run["done"]["samples"] == 8 == len(list(read_records(folder / "records.jsonl")))
    tally, _, runs = go(asked(questions), folder)
    assert tally.samples == 32
    assert [one["done"]["samples"] for one in runs] == [8, 32]


def test_without_records_no_length_is_expected(tmp_path, questions):
    for folder in (None, tmp_path / "nothing"):
        (cost,) = costs(asked(questions, 20), folder, 100)
        assert (cost.missing, cost.tokens) == (100, None)


def test_records_tell_the_length_to_be_expected(tmp_path, questions):
    folder = tmp_path / "run"
    go(asked(questions), folder, DigestSampler())
    (cost,) = costs(asked(questions, 20), folder, 300)
    assert cost.missing == 60
    assert cost.tokens == pytest.approx(60 * sum(lengths(folder)) / 40)


def test_where_records_have_no_tokens_the_runs_tell_the_length(tmp_path, questions):
    folder = tmp_path / "run"
    go(asked(questions, 4), folder)
    go(asked(questions, 8), folder)
    (cost,) = costs(asked(questions, 20), folder, 300)
    assert cost.missing == 60
    assert cost.tokens == pytest.approx(60 * sum(lengths(folder)) / 40)


def test_a_run_that_was_killed_tells_no_length(tmp_path, questions):
    folder = tmp_path / "run"
    go(asked(questions), folder)
    about = json.loads((folder / "evaluation.json").read_text())
    del about["runs"][0]["done"]
    (folder / "evaluation.json").write_text(json.dumps(about))
    (cost,) = costs(asked(questions, 20), folder, 300)
    assert cost.tokens is None


class Described(Total):
    """Says how it draws."""

    def __init__(self, **how):
        super().__init__()
        self._how = how

    def describe(self):
        return {"sampler": "toy", **self._how}


def test_another_way_of_drawing_is_told(tmp_path, questions):
    folder = tmp_path / "run"
    go(asked(questions, 4), folder, Described(dtype="float32", torch="2.12"))
    _, warnings, _ = go(asked(questions, 8), folder, Described(dtype="float32", torch="2.13"))
    assert warnings == []
    _, (warning,), _ = go(asked(questions, 12), folder, Described(dtype="bfloat16"))
    assert "dtype float32, now bfloat16; evaluation.json tells" in warning


def test_a_run_that_drew_nothing_is_no_other_way_of_drawing(tmp_path, questions):
    class Dead(Described):
        def sample(self, requests):
            raise RunError("out of memory")

    with pytest.raises(RunError, match="out of memory"):
        go(asked(questions), tmp_path / "run", Dead(dtype="float32"))
    _, warnings, _ = go(asked(questions), tmp_path / "run", Described(dtype="bfloat16"))
    assert warnings == []
