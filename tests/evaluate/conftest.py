"""Models and folders that several files of these tests share.

What is heavy is imported where it is used: most files here need neither torch nor transformers.
"""

import pytest


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Three checkpoints for ΔNLL_rare."""
    from nll_models import save

    folder = tmp_path_factory.mktemp("models")
    return [save(folder / f"m{seed}", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    """The evaluation of the first of them."""
    from rare_evaluations import evaluation

    return evaluation(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint for the transformers sampler."""
    import tiny_models as tiny

    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def network():
    """Its model."""
    import tiny_models as tiny

    return tiny.model()


@pytest.fixture
def openai_key(monkeypatch):
    """Have a key for the openai sampler, and no proxy before its servers."""
    from openai_calls import KEY

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
