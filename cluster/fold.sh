#!/usr/bin/env bash
# Stages 3 and 4 of one fold, in one job; as an array, of all folds. Data comes before, scores afterwards:
#   egs/iemocap/run.sh --iemocap DIR --stop_stage 2
#   sbatch --array=1-5 cluster/fold.sh --system asr__ser       (Slurm)
#   qsub -t 1-5 cluster/fold.sh --system asr__ser              (Grid Engine)
#   egs/iemocap/run.sh --system asr__ser --stage 5
#SBATCH --gres=gpu:1
#SBATCH --mem=8G
#SBATCH --time=1-00:00:00
#SBATCH --requeue --signal=B:TERM@60 --open-mode=append
#$ -S /bin/bash -cwd -V -j y -r y -notify
#$ -l gpu=1,s_rt=24:00:00
set -euo pipefail

. cluster/resumable.sh
fold=${SLURM_ARRAY_TASK_ID:-${SGE_TASK_ID:-}}
if [[ ! ${fold} =~ ^[0-9]+$ ]]; then
    echo "fold.sh: which fold? Submit it as an array: sbatch --array=1-5, or qsub -t 1-5" >&2
    exit 1
fi
resumable "${recipe}/run.sh" "$@" --folds "${fold}" --stage 3 --stop_stage 4
