"""What this machine can do at best: the rate of large matrix products. ``python benchmarks/machine.py JOB.json``."""

import json
import sys
import time
from pathlib import Path

from espnet_ser.utils.atomic import atomic_write
from espnet_ser.utils.environment import describe_environment

SIZE = {"cpu": 2048, "cuda": 8192}
REPEATS = 8


def main() -> None:
    """Reads the job, writes ``{"flops_per_s", "memory_gb", "environment"}``."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import torch

    torch.set_num_threads(job["threads"])
    environment = describe_environment()
    memory_gb = None
    if job["device"] == "cuda":
        properties = torch.cuda.get_device_properties(0)
        environment["GPU"] = f"{properties.name}, CUDA {torch.version.cuda}"
        memory_gb = properties.total_memory / 1e9
    rate = matmul_rate(job["device"], torch.bfloat16 if job["dtype"] == "bf16" else torch.float32)
    atomic_write(job["result"], json.dumps({"flops_per_s": rate, "memory_gb": memory_gb, "environment": environment}))


def matmul_rate(device: str, dtype) -> float:
    """Floating-point operations per second of the fastest of several products of large square matrices."""
    import torch

    size = SIZE[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    fastest_s = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        fastest_s = min(fastest_s, time.perf_counter() - start)
    return 2 * size**3 / fastest_s


if __name__ == "__main__":
    main()
