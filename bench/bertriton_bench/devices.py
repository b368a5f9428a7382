"""What NVIDIA's devices can do at most."""

from __future__ import annotations

import re
from typing import Final

# Dense peaks in TFLOP/s, by words in the name that nvidia-smi tells, the first that fit: fp16 with sums in
# fp32 on tensor cores, and fp32 without them. From NVIDIA's data sheets, which for fp16 mostly state twice as
# much, with sparsity; they are under https://www.nvidia.com/en-us/data-center/ by the names of the products.
DEVICE_TO_PEAKS: Final = {
    "H200 NVL": {"fp16": 835.0, "fp32": 60.0},
    "H200": {"fp16": 989.0, "fp32": 67.0},
    "H100 NVL": {"fp16": 835.0, "fp32": 60.0},
    "H100 PCIe": {"fp16": 756.0, "fp32": 51.0},
    "H100": {"fp16": 989.0, "fp32": 67.0},
    "A100": {"fp16": 312.0, "fp32": 19.5},
    "L40S": {"fp16": 362.0, "fp32": 91.6},
    "L4": {"fp16": 121.0, "fp32": 30.3},
    "A10": {"fp16": 125.0, "fp32": 31.2},
    "T4": {"fp16": 65.0, "fp32": 8.1},
}


def peak_tflops(device: str, precision: str) -> float | None:
    """The dense peak of a device, by the whole words of its name.

    Args:
        device: its name, as nvidia-smi tells it.
        precision: fp16 or fp32.

    Returns:
        TFLOP/s; None where the table has no such device.

    Example:
        >>> peak_tflops("NVIDIA A100-SXM4-80GB", "fp16")
        312.0
    """
    words = set(re.split(r"[\s,-]+", device))
    fitting = (peaks for name, peaks in DEVICE_TO_PEAKS.items() if words >= set(name.split()))
    return next((peaks[precision] for peaks in fitting), None)
