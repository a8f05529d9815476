"""A job in a process of its own, ended before it drives the machine out of memory."""

import json
import os
import subprocess
import time
from pathlib import Path

POLL_S = 0.1


def run_job(script: str, job: dict, python: str, folder: Path) -> dict:
    """Runs a script of this folder on a job.

    Args:
        script: ``run_row.py`` and the like; it writes JSON to the path that the job calls ``result``.
        job: What to do. ``threads`` sets the number of threads; ``max_memory_gb``, where given, what the process may take.
        python: The interpreter.
        folder: Where job, result and log lie.

    Returns:
        What the script wrote, with ``failure`` next to it where it did not come to its end.
    """
    here = Path(__file__).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    result_path, job_path, log_path = (folder / name for name in ("result.json", "job.json", "log.txt"))
    result_path.unlink(missing_ok=True)
    job_path.write_text(json.dumps({**job, "result": str(result_path)}), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": str(job["threads"]), "TOKENIZERS_PARALLELISM": "false"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(here.parent), os.environ.get("PYTHONPATH")]))
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    too_much = False
    with open(log_path, "w", encoding="utf-8") as log:
        process = subprocess.Popen([python, str(here / script), str(job_path)], stdout=log, stderr=log, env=environment)
        try:
            while process.poll() is None:
                if job.get("device") == "cpu" and resident_gb(process.pid) > job.get("max_memory_gb", float("inf")):
                    too_much = True
                    process.kill()
                time.sleep(POLL_S)
        finally:
            process.kill()
            process.wait()
    result = json.loads(result_path.read_text(encoding="utf-8")) if result_path.is_file() else {}
    if process.returncode == 0:
        return result
    last_line = (log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
    # A kernel that ends a process for its memory does so with signal 9.
    if too_much or process.returncode == -9 or last_line == "out of memory":
        return {**result, "failure": f"does not fit into {job['max_memory_gb']:.1f} GB", "out_of_memory": True}
    return {**result, "failure": last_line[:200]}


def resident_gb(pid: int) -> float:
    """Memory that a process takes now; 0 where the system does not say, or it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e9
    except OSError:
        pass
    return 0.0


def available_gb() -> float:
    """Memory that can be taken without swapping; infinite where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / 1e9
    except OSError:
        pass
    return float("inf")
