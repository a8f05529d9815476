# shellcheck shell=bash disable=SC2034
# Sourced by the recipe: which job runner runs what. A site's own runner that keeps Kaldi's contract
# (RUNNER [options] [JOB=1:n] LOG command ...) can be named here, and options that all of its jobs get:
# (slurm.pl --time 4:00:00). How much of what a job asks for is in conf/slurm.conf and conf/queue.conf.
cmd_backend=${cmd_backend:-local}

case ${cmd_backend} in
    local)
        cuda_cmd=(run.pl) # training
        cluster_jobs=     # as many at a time as this machine can take
        ;;
    slurm)
        cuda_cmd=(slurm.pl)
        cluster_jobs=100 # at a time in the cluster, which has its own queue
        ;;
    sge)
        cuda_cmd=(queue.pl)
        cluster_jobs=100
        ;;
    *)
        echo "cmd.sh: unknown cmd_backend '${cmd_backend}'; known: local, slurm, sge" >&2
        exit 1
        ;;
esac
