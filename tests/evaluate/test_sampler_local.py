"""A mistyped path is refused at once; the hub is asked for what may be there."""

import pytest

from fgrpo.errors import UsageError
from fgrpo.evaluate.samplers.local import refuse_missing


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "runs" / "grpo").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "name", ["./grpo", "../grpo", "/no/where", "nowhere/grpo/final", "runs/grpo/final", "runs/grpi"]
)
def test_a_path_to_nothing_is_refused(name):
    with pytest.raises(UsageError, match=rf"^model '{name}' cannot be opened: no such folder"):
        refuse_missing(name)


@pytest.mark.parametrize("name", ["gpt2", "Qwen/Qwen2.5-7B", "runs", "runs/grpo", "./runs/grpo/"])
def test_what_is_there_or_may_be_on_the_hub_is_not(name):
    refuse_missing(name)


def test_the_errors_say_what_to_do():
    with pytest.raises(UsageError, match=r"for runs/mine of the hub work in a folder that has no"):
        refuse_missing("runs/mine")
    with pytest.raises(UsageError, match=r"^adapter '~/a' .*: write the home folder in full"):
        refuse_missing("~/a", "adapter")


@pytest.mark.parametrize("adapter", [None, "./nope"])
def test_samplers_refuse_it_before_anything_is_opened(adapter):
    checkpoint = pytest.importorskip("fgrpo.evaluate.samplers.checkpoint")
    named = "model './nope'" if adapter is None else "adapter './nope'"
    with pytest.raises(UsageError, match=rf"^{named} cannot be opened: no such folder"):
        checkpoint.load_checkpoint("./runs" if adapter else "./nope", adapter=adapter)
