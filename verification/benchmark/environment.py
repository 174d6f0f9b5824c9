"""On what a run was measured: software, device, and what decides how products are rounded."""

import os
import platform
import shutil
import subprocess
from importlib import metadata

import torch

from verification.benchmark.timing import is_cuda

SOFTWARE = ("triton", "jax", "jaxlib", "folx", "jet-for-pytorch", "numpy")


def describe(device):
    """Plain data for JSON: versions, the device, its driver, and the flags of TF32."""
    on_cuda = is_cuda(device)
    return {
        "software": {name: _version(name) for name in SOFTWARE},
        "system": platform.platform(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if on_cuda else None,
        "driver": _driver() if on_cuda else None,
        "gpu": _gpu(device) if on_cuda else None,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "matmul_allow_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
    }


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpu(device):
    found = torch.cuda.get_device_properties(device)
    return {
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "multiprocessors": found.multi_processor_count,
        "memory_bytes": found.total_memory,
    }


def _driver():
    """The driver's version, as the tool says that comes with it; None without that tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    return found.stdout.strip() or None
