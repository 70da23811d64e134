"""What ``import verl`` makes of the package, each time in a process of its own."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from fgrpo.errors import UsageError
from fgrpo.integrations.verl.version import SUPPORTED_VERL, check_version

PACKAGE = "fgrpo.integrations.verl"
# Everything the plugin may load beside what `verl.trainer.ppo.core_algos` loads.
LOADED = {
    "fgrpo",
    "fgrpo._validate",
    "fgrpo.advantage",
    "fgrpo.errors",
    "fgrpo.groups",
    "fgrpo.integrations",
    "fgrpo.integrations.groups",
    "fgrpo.integrations.health",
    "fgrpo.integrations.settings",
    "fgrpo.integrations.verl",
    "fgrpo.integrations.verl.estimator",
    "fgrpo.integrations.verl.observe",
    "fgrpo.integrations.verl.rollouts",
    "fgrpo.integrations.verl.settings",
    "fgrpo.integrations.verl.smoothing",
    "fgrpo.integrations.verl.step",
    "fgrpo.integrations.verl.version",
    "fgrpo.passk",
    "fgrpo.theory",
    "fgrpo.theory.activity",
    "fgrpo.theory.peak",
    "fgrpo.theory.redistribution",
    "fgrpo.theory.sampled_mass",
    "fgrpo.theory.shrinkage",
}
REGISTERED = (
    "from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY as found\n"
    "print(sorted(n for n, f in found.items() if f.__module__.startswith('fgrpo')))\n"
)
BOTH = "['differential_smoothing', 'f_grpo']"
TRAINERS = (
    "from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY\n"
    "print(sorted(n for n in TRAINER_REGISTRY if n.startswith('focal')))\n"
)
THREE = "['focal_colocate_async', 'focal_separate_async', 'focal_sync']"
OLDER = """
import importlib.abc, importlib.machinery, sys

class Older(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "verl.trainer.ppo.core_algos":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def without(module):
            load(module)
            del module.register_adv_est

        spec.loader.exec_module = without
        return spec

sys.meta_path.insert(0, Older())
"""
RENAMED = """
import importlib.metadata
real = importlib.metadata.version
importlib.metadata.version = lambda name: "0.12.0" if name == "verl" else real(name)
"""


def python(code, *, check=True, **environment):
    names = ("VERL_USE_EXTERNAL_PLUGINS", "VERL_USE_EXTERNAL_MODULES")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=check,
        timeout=120,
    )


def modules(code, **environment):
    report = "import json, sys\nprint(json.dumps(sorted(sys.modules)))"
    return set(json.loads(python(f"{code}\n{report}", **environment).stdout.splitlines()[-1]))


def test_the_entry_point_is_there():
    (found,) = [point for point in entry_points(group="verl.plugins") if point.name == "fgrpo"]
    assert found.value == PACKAGE


def test_importing_verl_loads_the_estimators_and_nothing_heavy():
    without = {"VERL_USE_EXTERNAL_PLUGINS": "none"}
    plain = modules("import verl", **without)
    assert not any(name.startswith("fgrpo") for name in plain)
    needed = modules("import verl, verl.trainer.ppo.core_algos", **without)
    found = modules("import verl")
    assert found - needed == LOADED
    added = {name.partition(".")[0] for name in found - plain}
    assert not added & {"transfer_queue", "matplotlib", "pydantic", "typer", "jinja2", "rich"}
    for name in ("verl.trainer.ppo.v1", "verl.trainer.ppo.ray_trainer", "verl.trainer.main_ppo"):
        assert name not in found


@pytest.mark.parametrize(
    ("code", "environment"),
    [
        (
            "import verl",
            {"VERL_USE_EXTERNAL_PLUGINS": "none", "VERL_USE_EXTERNAL_MODULES": PACKAGE},
        ),
        ("import verl", {"VERL_USE_EXTERNAL_MODULES": PACKAGE}),
        (f"import {PACKAGE}", {}),
    ],
    ids=["as a module", "as both", "before verl"],
)
def test_the_other_ways_in(code, environment):
    done = python(f"{code}\n{REGISTERED}", **environment)
    assert done.stdout.splitlines()[-1] == BOTH
    assert "not there" not in done.stderr


def test_the_trainers_come_as_an_external_module():
    code = f"import verl\n{REGISTERED}{TRAINERS}"
    done = python(code, VERL_USE_EXTERNAL_MODULES=f"{PACKAGE}.trainer")
    assert done.stdout.splitlines()[-2:] == [BOTH, THREE]


def test_an_untested_verl_is_imported_as_ever_and_refused_at_use():
    use = (
        "import torch\n"
        "try:\n"
        "    found['f_grpo'](torch.zeros(2, 1), torch.ones(2, 1), ['a', 'a'], {})\n"
        "except ValueError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = python(f"{RENAMED}import verl\n{REGISTERED}{use}")
    *_, registered, refusal = done.stdout.splitlines()
    assert registered == BOTH
    assert refusal.startswith("UsageError verl 0.12.0 is installed; fgrpo was tested with verl ")
    assert "fgrpo" not in done.stderr


@pytest.mark.parametrize("name", ["f_grpo", "differential_smoothing"])
def test_each_estimator_refuses_an_untested_verl(name, monkeypatch):
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    monkeypatch.setattr(f"{PACKAGE}.version.version", lambda _: "0.12.0")
    check_version.cache_clear()
    try:
        with pytest.raises(UsageError) as refusal:
            get_adv_estimator_fn(name)(None, None)
    finally:
        check_version.cache_clear()
    supported = SUPPORTED_VERL[-1]
    assert str(refusal.value) == (
        f"verl 0.12.0 is installed; fgrpo was tested with verl {supported} and nothing else: pip "
        f"install verl=={supported}, or multiply the advantages by fgrpo.focal_weight in a trainer "
        "of your own"
    )


def test_a_verl_without_metadata_is_refused(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(f"{PACKAGE}.version.version", missing)
    check_version.cache_clear()
    try:
        with pytest.raises(UsageError, match="verl without a version is installed"):
            check_version()
    finally:
        check_version.cache_clear()


def test_a_verl_that_cannot_take_the_estimators_says_so():
    again = f"try:\n    import {PACKAGE}\nexcept ImportError:\n    print('refused')"
    done = python(f"{OLDER}import verl\nprint(verl.__version__)\n{again}")
    found, refused = done.stdout.splitlines()[-2:]
    assert found in SUPPORTED_VERL
    assert refused == "refused"
    # Once from verl, which passes over a plugin's error, and once from the import above.
    told = [line for line in done.stderr.splitlines() if "f_grpo" in line]
    assert len(told) == 2
    assert "WARNING" in told[0]
    assert "register_adv_est" in told[0]
    assert f"tested with verl {SUPPORTED_VERL[-1]}; fgrpo doctor verl says more" in told[0]
