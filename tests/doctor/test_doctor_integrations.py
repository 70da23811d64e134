"""``fgrpo doctor``: the verifiers, TRL, verl and its rollout engines."""

import pytest
from doctor_environment import EXTRAS
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow


def test_the_verifiers_are_tried(bare):
    for line in EXTRAS["verify"]:
        bare.link(Requirement(line).name)
    findings = bare.json("verify")["parts"]["verify"]["findings"]
    (worker,) = [finding for finding in findings if finding["name"] == "workers"]
    assert worker["status"] == "ok"
    assert worker["text"] == "maths told a right answer from a wrong one"
    (isolation,) = [finding for finding in findings if finding["name"] == "isolation"]
    assert isolation["status"] in ("ok", "note")


def test_verifiers_that_cannot_judge_are_a_fault_of_each_part_that_needs_them(bare):
    bare.add_part("evaluate")  # a math-verify with nothing in it
    report = bare.json("verify", "evaluate", "trl")
    for name in ("verify", "evaluate"):
        (worker,) = [f for f in report["parts"][name]["findings"] if f["name"] == "workers"]
        assert worker["status"] == "broken"
        assert "maths" in worker["text"]
    assert "workers" not in [f["name"] for f in report["parts"]["trl"]["findings"]]


def test_without_math_verify_the_workers_are_tried_with_another_verifier(bare):
    report = bare.json("verify")
    (worker,) = [f for f in report["parts"]["verify"]["findings"] if f["name"] == "workers"]
    assert worker["text"] == "exact told a right answer from a wrong one"
    assert report["parts"]["verify"]["state"] == "not installed"


@pytest.mark.parametrize(
    ("version", "triton", "expected"),
    [
        ("1.15.0", False, [("triton", "mismatched")]),
        ("1.15.0", True, []),
        ("1.14.2", False, []),
        ("1.16.3", False, []),
        ("1.17.0", False, [("trl", "note")]),
        ("0.29.0", False, []),
        ("0.28.0", False, []),
    ],
)
def test_what_is_known_of_trl(bare, version, triton, expected):
    bare.add_part("trl")
    bare.add("trl", version)
    if triton:
        bare.add("triton")
    findings = bare.json("trl", "--quick")["parts"]["trl"]["findings"]
    (row,) = [f for f in findings if f["name"] == "trl" and f["supported"] == ">=0.29,<2"]
    assert row["status"] == ("mismatched" if version == "0.28.0" else "ok")
    known = [(f["name"], f["status"]) for f in findings if f is not row and f["status"] != "ok"]
    assert known == expected


def test_an_integration_that_cannot_be_imported_is_a_fault(bare):
    bare.add_part("trl")
    for line in EXTRAS["verify"]:
        bare.remove(Requirement(line).name.replace("-", "_"))
        bare.link(Requirement(line).name)
    (finding,) = bare.about("trl", "fgrpo.integrations.trl")
    assert finding["status"] == "broken"
    assert "Error: " in finding["text"]
    assert finding["fix"].startswith("pip install transformers")
    bare.add("trl", "0.28.0")
    (finding,) = bare.about("trl", "fgrpo.integrations.trl")
    assert finding["fix"] == "put right what is above, and try again"


def test_beside_trl_verl_is_to_have_an_environment_of_its_own(bare):
    bare.add_part("trl")
    for finding in bare.json("verl", "--quick")["parts"]["verl"]["findings"]:
        if finding["status"] == "missing":
            assert finding["fix"].startswith("in an environment of its own: pip install '.[verl]'")
    add_verl(bare)
    bare.remove("fastapi")
    (finding,) = bare.about("verl", "fastapi", "--quick")  # it is here: to be mended here
    assert finding["fix"].startswith("pip install '.[verl]'")


def test_the_trl_of_verls_extras_is_explained(bare):
    bare.add_part("verl")
    bare.add_part("trl")
    bare.metadata(
        "verl", "0.9.1", ["Provides-Extra: fsdp", 'Requires-Dist: trl==0.27.0; extra == "fsdp"']
    )
    bare.add("trl", "0.27.0")
    parts = bare.json("trl", "verl", "--quick")["parts"]
    for part in ("trl", "verl"):
        (note,) = [f for f in parts[part]["findings"] if "pinned by the extras fsdp" in f["text"]]
        assert (note["name"], note["found"], note["supported"]) == ("trl", "0.27.0", ">=0.29,<2")
    assert parts["trl"]["state"] == "unusable"
    assert parts["verl"]["state"] == "ready"


def add_verl(environment, code="ADV_ESTIMATOR_REGISTRY = {}", lines=()):
    environment.add_part("verl")
    (environment.site / "verl.py").unlink()
    folder = environment.site / "verl" / "trainer" / "ppo"
    folder.mkdir(parents=True)
    for inner in (folder, folder.parent, folder.parent.parent):
        (inner / "__init__.py").touch()
    (environment.site / "verl" / "__init__.py").write_text("__version__ = '0.9.1'")
    (folder / "core_algos.py").write_text(code)
    environment.metadata("verl", "0.9.1", lines)


def test_why_verl_passed_over_the_plugin_is_told(bare):
    add_verl(bare)  # without register_adv_est, so that the plugin fails
    (finding,) = bare.about("verl", "plugin")
    assert finding["status"] == "broken"
    assert "in silence: " in finding["text"]
    assert "Error: " in finding["text"]


def test_a_verl_that_cannot_be_imported_is_a_fault(bare):
    add_verl(bare, "raise ImportError('cannot import name X')")
    findings = bare.about("verl", "verl")
    assert [finding["status"] for finding in findings] == ["ok", "broken"]
    assert findings[1]["text"] == "ImportError: cannot import name X"


@pytest.mark.parametrize(
    ("policy", "told"),
    [("none", True), ("other", True), ("auto", False), ("Other, FGRPO ", False), ("NONE", True)],
)
def test_a_plugin_that_is_switched_off(bare, policy, told):
    add_verl(bare)
    found = bare.about("verl", "plugin", "--quick", VERL_USE_EXTERNAL_PLUGINS=policy)
    assert [f"VERL_USE_EXTERNAL_PLUGINS={policy} keeps" in f["text"] for f in found] == [
        True
    ] * told


def test_a_plugin_that_the_installation_does_not_name(bare):
    add_verl(bare)
    bare.info("fgrpo").joinpath("entry_points.txt").unlink()
    (finding,) = bare.about("verl", "plugin", "--quick")
    assert finding["status"] == "mismatched"
    assert "no entry point" in finding["text"]


def test_what_verl_needs_without_saying_so(bare):
    add_verl(bare)
    bare.remove("fastapi")
    report = bare.json("--quick")
    assert report["parts"]["verl"]["state"] == "unusable"
    (finding,) = [f for f in report["parts"]["verl"]["findings"] if f["name"] == "fastapi"]
    assert finding["status"] == "broken"
    assert finding["text"] == "not there, but verl needs it"
    assert finding["fix"] == "pip install '.[verl]' in the folder of fgrpo's source"


def test_the_weight_in_verl_does_without_the_verifiers(bare):
    add_verl(bare)
    bare.forget("math-verify")
    (bare.site / "math_verify.py").unlink()
    report = bare.json("verl", "--quick")
    (finding,) = [f for f in report["parts"]["verl"]["findings"] if f["name"] == "math-verify"]
    assert finding["status"] == "note"
    assert finding["fix"] == "pip install '.[verify]' in the folder of fgrpo's source"
    assert report["parts"]["verl"]["state"] == "ready"


PINS = [
    *("Provides-Extra: vllm", 'Requires-Dist: vllm==0.24.0; extra == "vllm"'),
    *("Provides-Extra: sglang", 'Requires-Dist: sglang==0.5.12; extra == "sglang"'),
]


@pytest.mark.parametrize(
    ("version", "code", "expected"),
    [
        ("0.24.0", "", ("ok", "rollout engine", None)),
        ("0.23.0", "", ("note", "verl[vllm] pins another", "pip install 'vllm==0.24.0'")),
        ("0.24.0", "raise ImportError('torch ABI')", ("broken", "ImportError: torch ABI", "-c")),
        ("0.23.0", "raise ImportError('torch ABI')", ("broken", "ImportError: torch ABI", "-c")),
    ],
)
def test_the_rollout_engine(bare, version, code, expected):
    add_verl(bare, lines=PINS)
    bare.add("vllm", version, code)
    (finding,) = bare.about("verl", "vllm")
    status, text, fix = expected
    assert (finding["status"], finding["found"]) == (status, version)
    assert finding["supported"] == "==0.24.0"
    assert text in finding["text"]
    assert fix is None or fix in finding["fix"]


def test_what_a_rollout_engine_needs_is_no_fault(bare):
    add_verl(bare, lines=PINS)
    bare.add("vllm", "0.24.0", needs=["torch==2.11.0"])
    findings = bare.about("verl", "torch", "--quick")
    assert [(f["status"], f["text"]) for f in findings] == [
        ("ok", ""),
        ("note", "needed by vllm 0.24.0"),
    ]


@pytest.mark.parametrize("there", [False, True])
def test_attention_is_missed_beside_a_rollout_engine(bare, there):
    extra = "flash-attn-cu130torch211"
    lines = [f"Provides-Extra: {extra}", f'Requires-Dist: flash-attn==2.8.3; extra == "{extra}"']
    add_verl(bare, lines=[*PINS, *lines])
    assert bare.about("verl", "flash-attn", "--quick") == []
    bare.add("vllm", "0.24.0")
    if there:
        bare.add("flash_attn", "2.8.3")
    found = [(f["status"], f["fix"]) for f in bare.about("verl", "flash-attn", "--quick")]
    missed = [("note", "pip install --no-build-isolation 'flash-attn==2.8.3'")]
    assert found == ([] if there else missed)


def test_no_rollout_engine_is_a_note(bare):
    add_verl(bare, lines=PINS)
    (finding,) = bare.about("verl", "rollout engine", "--quick")
    assert finding["status"] == "note"
    assert finding["fix"] == (
        "pip install 'verl[vllm]==0.9.1' or pip install 'verl[sglang]==0.9.1'"
    )
    assert bare.run("verl", "--quick").returncode == 0
