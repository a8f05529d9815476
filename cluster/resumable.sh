# shellcheck shell=bash
# Sourced by the job scripts: a command that saves itself when the job's time is over, in a job that is then started again.
recipe=${recipe:-egs/iemocap} # or egs/mini_iemocap, or one's own, from the environment
if [[ ! -x ${recipe}/run.sh ]]; then
    echo "submit this from the repository's folder: there is no ${recipe}/run.sh in ${PWD}" >&2
    exit 1
fi
export cmd_backend=local # within the job

# Runs a command until it ends, or until it has saved itself and the job is in the queue again.
#   resumable COMMAND [ARGUMENT ...]
resumable() {
    local child code job asked=false
    # shellcheck disable=SC2317,SC2329 # called by the trap
    pass_on() {
        asked=true
        kill -TERM "${child}"
    }
    (trap '' USR1 USR2; exec "$@") &
    child=$!
    trap pass_on TERM USR1 USR2 # Slurm's --signal; Grid Engine's soft limit and -notify
    while
        code=0
        wait "${child}" || code=$?
        kill -0 "${child}" 2>/dev/null # a signal ends the waiting as well
    do :; done
    trap '' TERM USR1 USR2
    if [[ ${asked} == true && ${code} -ne 0 || ${code} -eq 85 ]]; then
        if [[ -n ${SGE_TASK_ID:-} ]]; then
            exit 99 # Grid Engine starts it again
        fi
        job=${SLURM_JOB_ID} # of an array it may be that of the whole array as well
        [[ -z ${SLURM_ARRAY_TASK_ID:-} ]] || job=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
        if [[ $(squeue --noheader --jobs="${job}" --format=%T) == RUNNING ]]; then # not cancelled
            scontrol requeue "${job}"
        fi
    fi
    exit "${code}"
}
