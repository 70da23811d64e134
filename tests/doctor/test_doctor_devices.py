"""``fgrpo doctor``: the devices there are, and the hub."""

import pytest
from doctor_environment import torch

pytestmark = pytest.mark.slow

SMI = "echo 'NVIDIA H100, 580.65'; echo 'NVIDIA H100, 580.65'"


@pytest.mark.parametrize(
    ("built", "smi", "changes", "status", "told"),
    [
        ({}, None, {}, "ok", "CPU build; no GPU here"),
        ({"cuda": "13.0"}, None, {}, "ok", "CUDA 13.0 build; no GPU here"),
        ({"mps": True}, None, {}, "ok", "Metal"),
        ({"cuda": "13.0", "usable": True}, SMI, {}, "ok", "2 × NVIDIA H100"),
        (
            {},
            SMI,
            {},
            "mismatched",
            "CPU build; it cannot use 2 × NVIDIA H100 (driver 580.65): install a build with CUDA",
        ),
        (
            {"cuda": "13.0", "warns": "driver too old"},
            SMI,
            {},
            "mismatched",
            "it cannot use 2 × NVIDIA H100 (driver 580.65): driver too old: update NVIDIA's driver",
        ),
        (
            {"cuda": "13.0"},
            SMI,
            {"CUDA_VISIBLE_DEVICES": ""},
            "note",
            "CUDA_VISIBLE_DEVICES='' leaves it none of 2 × NVIDIA H100",
        ),
        (
            {"cuda": "11.8", "usable": True, "fails": "no kernel image is available"},
            SMI,
            {},
            "mismatched",
            "a first computation on 2 × NVIDIA H100 failed: no kernel image",
        ),
        (
            {"cuda": "13.0", "usable": True, "fails": "CUDA out of memory"},
            SMI,
            {},
            "note",
            "out of memory",
        ),
        (
            {"cuda": "13.0"},
            "echo 'Driver/library version mismatch'; exit 18",
            {},
            "mismatched",
            "does not work: nvidia-smi: Driver/library version mismatch",
        ),
    ],
)
def test_torch_against_the_devices(lab, built, smi, changes, status, told):
    lab.add("torch", code=torch(**built))
    if smi:
        lab.script("nvidia-smi", smi)
    report = lab.json("lab", **changes)
    (finding,) = [f for f in report["system"]["findings"] if f["name"] == "torch"]
    assert finding["status"] == status
    assert told in f"{finding['text']}: {finding['fix']}"
    assert bool(finding["fix"]) == (status != "ok")
    assert report["ok"] == (status != "mismatched")


def test_devices_are_no_matter_to_parts_without_torch(lab):
    lab.script("nvidia-smi", SMI)
    names = [finding["name"] for finding in lab.json("core")["system"]["findings"]]
    assert names == ["Python"]


def test_offline_is_told_where_models_are_taken_from_the_hub(bare):
    changes = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "0"}
    findings = bare.json("evaluate", "--quick", **changes)["system"]["findings"]
    (finding,) = [finding for finding in findings if finding["name"] == "hub"]
    assert finding["status"] == "note"
    assert finding["fix"] == "unset HF_HUB_OFFLINE"
    assert "hub" not in str(bare.json("lab", "--quick", **changes)["system"])
