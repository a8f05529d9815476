# shellcheck shell=bash disable=SC2034
# Sourced by the recipe: which job runner runs what. A site's own runner that keeps Kaldi's contract
# (RUNNER [options] [JOB=1:n] LOG command ...) can be named here.
cmd_backend=${cmd_backend:-local}

case ${cmd_backend} in
    local)
        cuda_cmd=(run.pl) # training
        ;;
    *)
        echo "cmd.sh: unknown cmd_backend '${cmd_backend}'; known: local" >&2
        exit 1
        ;;
esac
