"""The CPU as a platform of verl: processes talk by gloo, and Ray's GPUs are mere places.

Imported by every process of a run, by way of ``VERL_USE_EXTERNAL_MODULES``; ``VERL_PLATFORM=cpu``
chooses it.
"""

import functools
import types
from contextlib import contextmanager

import torch
import verl.utils.distributed
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


def _device_module():
    """Return ``torch.cpu`` with what verl calls of ``torch.cuda`` and the CPU does not have."""
    module = types.ModuleType("torch.cpu for verl")
    vars(module).update({name: getattr(torch.cpu, name) for name in torch.cpu.__all__})
    for name in ("empty_cache", "ipc_collect", "set_per_process_memory_fraction"):
        setattr(module, name, lambda *_, **__: None)
    for name in ("memory_allocated", "memory_reserved"):
        setattr(module, name, lambda *_, **__: 0)
        setattr(module, f"max_{name}", lambda *_, **__: 0)
    module.mem_get_info = lambda *_: (1 << 30, 1 << 30)
    module.get_device_name = lambda *_: "cpu"
    module.get_rng_state = lambda *_: torch.get_rng_state()
    module.set_rng_state = lambda state, *_: torch.set_rng_state(state)
    return module


@PlatformRegistry.register(platform="cpu")
class CPU(PlatformBase):
    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self):
        return True

    def current_device(self):
        return "cpu"  # an index would be one of an accelerator's devices

    def device_count(self):
        return 1

    def set_device(self, device_index):
        pass

    def synchronize(self, device_index=None):
        pass

    def manual_seed(self, seed):
        torch.manual_seed(seed)

    def manual_seed_all(self, seed):
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings):
        pass

    def empty_cache(self):
        pass

    def get_device_capability(self, device_index=0):
        return None, None

    def communication_backend_name(self):
        return "gloo"

    def visible_devices_envvar(self):
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg):
        yield

    def profiler_start(self):
        pass

    def profiler_stop(self):
        pass

    def ray_resource_name(self):
        return "GPU"

    def ray_noset_envvars(self):
        return []

    def is_ipc_supported(self):
        return False

    def cudart(self):
        return None


def _only_gloo(initialize):
    """Name the one backend there is: verl would ask for the CPU's and the accelerator's."""

    @functools.wraps(initialize)
    def initialized(timeout_second=None, backend=None):
        return initialize(timeout_second=timeout_second, backend=backend or "gloo")

    return initialized


verl.utils.distributed.initialize_global_process_group_ray = _only_gloo(
    verl.utils.distributed.initialize_global_process_group_ray
)
