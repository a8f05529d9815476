#!/usr/bin/env bash
# Ends what start_slurm.sh has started there, by the process ids that it left.
#   stop_slurm.sh STATE_DIR
set -uo pipefail

state=$(CDPATH='' cd "${1:?usage: stop_slurm.sh STATE_DIR}" && pwd) || exit 1
export SLURM_CONF=${state}/slurm.conf
is_running() { [[ $(cat "/proc/$1/comm" 2>/dev/null) == "$2"* ]]; }

timeout 10 scancel --quiet --user="$(id -un)" 2>/dev/null
for ((tries = 0; tries < 75; tries++)); do # until its jobs are gone
    [[ -n $(timeout 5 squeue --noheader 2>/dev/null) ]] || break
    sleep 0.2
done
for file in "${state}"/run/slurmd.*.pid "${state}/run/slurmctld.pid" "${state}/run/munged.pid"; do
    [[ -s ${file} ]] || continue
    pid=$(<"${file}")
    name=${file##*/}
    name=${name%%.*}
    is_running "${pid}" "${name}" && kill "${pid}"
    for ((tries = 0; tries < 50; tries++)); do
        is_running "${pid}" "${name}" || break
        sleep 0.2
    done
    is_running "${pid}" "${name}" && kill -9 "${pid}"
done
exit 0
