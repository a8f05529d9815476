#!/usr/bin/env bash
# The tests that need a real Slurm: they start one of two nodes on this machine, and end it. Arguments go to pytest.
#   apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
#   tests/cluster/run.sh [-k arrays] [--long]     # --long: all of Table 3 too, here and there
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
for tool in slurmctld slurmd squeue munged; do
    if ! command -v "${tool}" >/dev/null; then
        echo "$0: ${tool} is missing: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge" >&2
        exit 1
    fi
done
env_extras="test"
. utils/activate_env.sh
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec python3 -m pytest tests/cluster "$@"
