"""What utils/slurm.pl makes of sbatch's refusals; on a real Slurm it is tested in tests/cluster."""

import sys

import pytest

# In turn: what it says once, and then it takes the job and runs it.
SBATCH = """#!/usr/bin/env bash
if [[ ! -e "${ASKED}" ]]; then
    touch "${ASKED}"
    printf '%s\\n' "${SAID}" >&2
    exit 1
fi
SLURM_ARRAY_TASK_ID=1 bash "${@: -1}" >/dev/null 2>&1
echo 77
"""

QUICK = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); import cluster_runner; cluster_runner.AGAIN_S = 0.1\n"
    "s = runpy.run_path(sys.argv[1] + '/slurm.pl'); sys.exit(s['run'](s['Slurm'](), sys.argv[2:], ''))"
)


@pytest.fixture
def slurm_pl(sh, utils, tmp_path):
    """slurm.pl without its patience, where sbatch says something at first."""
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "ASKED": str(tmp_path / "asked")}
    return lambda said: sh(sys.executable, "-c", QUICK, utils, "a.log", "echo hello", env={**environment, "SAID": said})


POLICY = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


@pytest.mark.parametrize(
    "said",
    [
        f"sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: {POLICY}",
        f"sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: {POLICY}",
        f"sbatch: error: QOSGrpSubmitJobsLimit\nsbatch: error: {POLICY}",
        f"sbatch: error: {POLICY}",
        "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    ],
)
def test_a_scheduler_that_takes_no_job_for_now_is_asked_again(slurm_pl, sh, said):
    result = slurm_pl(said)
    assert result.returncode == 0, result.stderr
    assert "\nhello\n" in (sh.folder / "a.log").read_text()


@pytest.mark.parametrize(
    "said",
    [
        f"sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: {POLICY}",
        "sbatch: error: Batch job submission failed: Invalid partition name specified",
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
    ],
)
def test_what_will_never_be_taken_is_one_clear_line(slurm_pl, said):
    result = slurm_pl(said)
    assert result.returncode == 1
    assert result.stderr.startswith("slurm.pl: sbatch ")
    assert result.stderr.count("\n") == 1
