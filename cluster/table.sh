#!/usr/bin/env bash
# A whole table. The job itself only submits a job for each training, as soon as what it needs is there, and waits for them:
#   sbatch cluster/table.sh --table 3 --iemocap DIR       (Slurm)
#   qsub cluster/table.sh --table 3 --iemocap DIR         (Grid Engine, whose nodes must be allowed to submit)
# On a login node that lets one stay, the same without a job: cmd_backend=slurm egs/iemocap/run_table.sh --ngpu 1 --table 3 ...
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=7-00:00:00
#SBATCH --requeue --signal=B:TERM@120 --open-mode=append
#$ -S /bin/bash -cwd -V -j y -r y -notify
#$ -l s_rt=168:00:00
set -euo pipefail

. cluster/resumable.sh
cmd_backend=$([[ -n ${SLURM_JOB_ID:-} ]] && echo slurm || echo sge)
export cmd_backend
[[ " $* " == *" --ngpu "* ]] || set -- "$@" --ngpu 1 # this job itself has none to go by
resumable "${recipe}/run_table.sh" "$@"
