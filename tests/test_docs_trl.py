"""What docs/trl.md shows runs from top to bottom, but for the installation."""

import json

import pytest

import docs_check


def test_everything_the_page_shows_runs(tmp_path):
    printed = docs_check.run(tmp_path, install=False)
    runs = tmp_path / "runs"
    assert (runs / "comparison" / "report.html").exists()
    assert (runs / "f-grpo-against-grpo").exists()
    gammas = {
        name: json.loads((runs / name / "train.json").read_text())[0]["settings"]["focal_gamma"]
        for name in ("grpo", "f-grpo", "lora", "eight")
    }
    assert gammas == {"grpo": 0.0, "f-grpo": 0.5, "lora": 1.0, "eight": 0.5}
    assert (runs / "lora" / "adapter_config.json").exists()
    assert "recipes/trl/qwen2.5-7b-f-cispo.yaml" in printed


def test_a_command_that_fails_is_noticed(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("```sh\npip install x\n```\n```sh\nfalse\n```\n")
    monkeypatch.setattr(docs_check, "PAGE", page)
    with pytest.raises(AssertionError, match="ended with 1"):
        docs_check.run(tmp_path, install=False)
