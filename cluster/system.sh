#!/usr/bin/env bash
# All stages and folds of one system in one job, as many of its trainings at a time as the job has GPUs:
#   sbatch cluster/system.sh --system asr__ser --iemocap DIR       (Slurm)
#   qsub cluster/system.sh --system asr__ser --iemocap DIR         (Grid Engine)
#SBATCH --gres=gpu:1
#SBATCH --mem=8G
#SBATCH --time=2-00:00:00
#SBATCH --requeue --signal=B:TERM@60 --open-mode=append
#$ -S /bin/bash -cwd -V -j y -r y -notify
#$ -l gpu=1,s_rt=48:00:00
set -euo pipefail

. cluster/resumable.sh
resumable "${recipe}/run.sh" "$@"
