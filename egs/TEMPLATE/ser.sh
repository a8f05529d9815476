#!/usr/bin/env bash
# Speech emotion recognition with wav2vec 2.0, finetuned in two stages (Gao, Chu & Kawahara, Interspeech 2023): the pipeline of
# every recipe. A recipe's run.sh calls it with the recipe's choices; local/data.sh makes its data, in stage 1.
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

log() {
    printf '%s (%s:%s:%s) %s\n' "$(date '+%Y-%m-%dT%H:%M:%S')" "${BASH_SOURCE[1]##*/}" "${BASH_LINENO[0]}" "${FUNCNAME[1]}" "$*"
}
SECONDS=0
# Upper-case names are not options.
CALLER_DIR=${PWD}
COMMAND_LINE=${RECIPE_COMMAND:-"$0$([[ $# -eq 0 ]] || printf ' %q' "$@")"} # as the user typed it; recorded with the figures
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

# What runs
stage=1        # first stage
stop_stage=6   # last stage
system=asr_gender_skip__ser # a file of conf/systems
table=         # a whole table of the paper (1, 2, 3 or all) instead of one system: see run_table.sh
systems=       # or these systems, e.g. "stl asr__ser"
folds=         # folds to run, e.g. "1 2 3"; all if empty
seed=0         # random seed
seeds=         # several random seeds, e.g. "1 2 3": stages 3 to 6 for each, and a table of them all
tag=           # suffix of the system's folder in exp
stage1_tag=    # suffix of the intermediate models' folder in exp

# On what
folds_by=session   # what a fold holds out: session or speaker; of a corpus of your own also utt2fold, utt2split, or a number of folds
corpus_name=   # what the corpus is called, for results and model cards; IEMOCAP's is known. Stage 1 records all four
corpus_lang=   # its languages, e.g. en, or "en pt-BR"
corpus_license= # its licence, e.g. cc-by-4.0
corpus_url=    # where it is described
stage1_data=four   # what the intermediate finetuning is trained on: four (the four classes) or all (every utterance of the training sessions)
token_type=char    # CTC targets: char or bpe
nbpe=100           # number of BPE tokens

# How
ssl=facebook/wav2vec2-base # pretrained encoder: a folder or a hub name
stage1_from=   # a public ASR model in place of the intermediate one, e.g. facebook/wav2vec2-base-960h: stage 3 trains nothing
conf=conf                  # folder with systems/
stage1_config=conf/train_stage1.yaml # ESPnet options of the intermediate finetuning
stage2_config=conf/train_ser.yaml # ESPnet options of SER finetuning
stage1_args=   # further ESPnet options of the intermediate finetuning, e.g. "--max_epoch 50"
stage2_args=   # further ESPnet options of SER finetuning
cache=auto     # outputs of frozen layers to compute once, in dump/cache: auto (all that is constant), none, cnn, or prefix (with frozen: constant)
cache_dtype=float16 # precision of the cache: float16 or float32
ngpu=auto      # GPUs per training, on each of its machines; auto: one if there is one
jobs_per_gpu=1 # trainings at a time on each GPU of this machine: a large one has room for a second
save_every_min=10 # minutes between two checkpoints of a training, at least: what a sudden end may cost; each is three models large
num_nodes=1    # machines per training; the job runner of cmd.sh starts a training on several
dist_backend=nccl # how the processes of a training talk: nccl, or gloo, with which --ngpu N is N processes where there is no GPU
nj=4           # parallel jobs: processes that read audio, and trainings at a time where there is no GPU; auto: one per core

# For others
pack_fold=     # the fold that stages 7 and 8 pack and upload; the first if empty, "all" for stage 7
onnx=auto      # export to ONNX too: auto (where onnx is installed), true, false
hf_repo=       # repository of the Hugging Face hub to upload to, owner/name
hf_private=true # whether only its owner sees it
upload_dry_run=false # list what would be uploaded, and send nothing

# Where
datadir=data   # what stage 1 leaves
dumpdir=dump   # what stage 2 leaves, and caches
expdir=exp     # models and results

# What this recipe alone takes.
. local/options.sh
read -ra own_options <<<"$(sed -nE 's/^([a-z0-9_]+)=.*/\1/p' local/options.sh | tr '\n' ' ')"

help_message="Usage: ./run.sh [options]   (of ${PWD##*/}, from any folder)

$(sed -n '/^# Its own/,/^$/p' local/options.sh; sed -n '/^# What runs/,/^expdir=/p' ser.sh)

Stages: 1 data directories, 2 token lists, 3 intermediate finetuning (ASR, gender), 4 SER finetuning, 5 predictions, 6 scores,
7 packing, 8 upload."
help_message=$(sed -E 's/^([a-z0-9_]+)=([^ #]*) *#? ?(.*)$/  --\1 [\2]  \3/; s/^# (.*)$/\1:/' <<<"${help_message}")

log "${COMMAND_LINE}"
. ../../utils/parse_options.sh
if [[ $# -ne 0 ]]; then
    log "Error: no positional arguments are taken, got: ${*@Q}" >&2
    exit 2
fi

fail() {
    log "Error: $*" >&2
    exit 1
}
stage_on() { [[ ${stage} -le $1 && ${stop_stage} -ge $1 ]]; }
# A folder named relative to where the recipe was called from.
from_caller() {
    if [[ -n $1 && $1 != /* && -e ${CALLER_DIR}/$1 ]]; then printf '%s\n' "${CALLER_DIR}/$1"; else printf '%s\n' "$1"; fi
}

for name in stage stop_stage num_nodes nbpe seed jobs_per_gpu save_every_min; do
    [[ ${!name} =~ ^(0|[1-9][0-9]{0,8})$ ]] || fail "--${name} takes a whole number, not ${!name@Q}"
done
[[ ${stop_stage} -le 8 ]] || fail "--stop_stage ${stop_stage}: there are stages 1 to 8"
[[ ${stage} -ge 1 && ${stage} -le ${stop_stage} ]] || fail "--stage ${stage} --stop_stage ${stop_stage}: no stage to run"
[[ ${num_nodes} -ge 1 ]] || fail "--num_nodes takes 1 or more"
[[ ${jobs_per_gpu} -ge 1 ]] || fail "--jobs_per_gpu takes 1 or more"
[[ ${num_nodes} -eq 1 || -z ${table}${systems} ]] || fail "--num_nodes ${num_nodes}: a table's trainings run on one machine each"
[[ ${ngpu} =~ ^(auto|0|[1-9][0-9]{0,3})$ ]] || fail "--ngpu takes a whole number or auto, not ${ngpu@Q}"
[[ ${nj} =~ ^(auto|0|[1-9][0-9]{0,8})$ ]] || fail "--nj takes a whole number or auto, not ${nj@Q}"
[[ ${nj} == auto || ${nj} -ge 1 ]] || fail "--nj takes 1 or more"
for name in folds seeds; do
    [[ ${!name} =~ ^[0-9\ ]*$ ]] || fail "--${name} takes numbers separated by spaces, not ${!name@Q}"
done
[[ ${table} =~ ^([123]|all)?$ ]] || fail "--table takes 1, 2, 3 or all, not ${table@Q}"
if [[ -n ${table}${systems} ]]; then
    [[ -z ${stage1_from} ]] || fail "--stage1_from is for one system with an intermediate finetuning of ASR, not for a table"
    [[ -z ${seeds} ]] || fail "--seeds runs one system; run the table once per --seed, each with a --tag and a --stage1_tag"
    [[ ${stage} -le 3 && (${stop_stage} -le 2 || ${stop_stage} -eq 6) ]] ||
        fail "--stage ${stage} --stop_stage ${stop_stage}: a table's stages 3 to 6 run together"
fi
if [[ -n ${seeds} ]]; then
    [[ ${stop_stage} -le 6 ]] || fail "--seeds: stages 7 and 8 are of one run; give them its --tag and --stage1_tag, such as seed1"
    read -ra seed_list <<<"${seeds}"
    [[ ${#seed_list[@]} -ge 2 && $(printf '%s\n' "${seed_list[@]}" | sort -u | wc -l) -eq ${#seed_list[@]} ]] ||
        fail "--seeds takes two numbers or more, each once, not ${seeds@Q}"
fi
for name in tag stage1_tag; do
    [[ ${!name} =~ ^[A-Za-z0-9._-]*$ && ${!name} != *..* ]] || fail "--${name} takes letters, digits, '.', '_' and '-', not ${!name@Q}"
done

[[ ${pack_fold} =~ ^([0-9]+|all)?$ ]] || fail "--pack_fold takes a fold's number or all, not ${pack_fold@Q}"
if stage_on 8; then
    [[ -n ${hf_repo} ]] || fail "--stop_stage 8: upload to which repository of the Hugging Face hub? Give --hf_repo owner/name"
    [[ ${pack_fold} != all ]] || fail "--pack_fold all: stage 8 uploads one fold's model; say which"
fi

check_options # of local/options.sh
stage1_from=$(from_caller "${stage1_from}")
ssl=${stage1_from:-$(from_caller "${ssl}")}

. ./path.sh
. ./cmd.sh
[[ ${nj} != auto ]] || nj=$(python3 -c 'from espnet_ser.utils.machine import usable_cores; print(usable_cores())')
gpus=()
if [[ ${ngpu} != 0 ]]; then
    listed=$(python3 utils/gpus.py)
    read -ra gpus <<<"${listed}"
fi
[[ ${ngpu} != auto ]] || ngpu=$((${#gpus[@]} > 0))
# Here, as many trainings at a time as there are GPUs for; a cluster finds them places itself.
fitting=$((ngpu > 0 ? ${#gpus[@]} * jobs_per_gpu / ngpu : nj))
at_a_time=${cluster_jobs:-$((fitting > 1 ? fitting : 1))}
[[ -z ${cluster_jobs-} || ${ngpu} -gt 0 ]] || log "trainings ask the cluster for no GPU: give --ngpu 1 if it has any"
[[ ${num_nodes} -eq 1 || ${cuda_cmd[0]##*/} != run.pl ]] ||
    fail "--num_nodes ${num_nodes}: run.pl runs jobs on this machine alone; choose a cluster's job runner in cmd.sh"

ser=(python3 -m espnet_ser)
where=(--conf "${conf}" --folds "${folds}" --datadir "${datadir}" --expdir "${expdir}")
with=(--dumpdir "${dumpdir}" --ssl "${ssl}" --stage1_config "${stage1_config}" --stage2_config "${stage2_config}"
    --stage1_args="${stage1_args}" --stage2_args="${stage2_args}" --token_type "${token_type}" --nbpe "${nbpe}"
    --stage1_data "${stage1_data}" --ngpu "${ngpu}" --dist_backend "${dist_backend}" --cache "${cache}" --cache_dtype "${cache_dtype}"
    --save_every_min "${save_every_min}")

# Jobs run in the background and are waited for, so that they are ended when the recipe is.
running=()
end_jobs() { [[ ${#running[@]} -eq 0 ]] || kill "${running[@]}" 2>/dev/null || true; }
# Asked to end, the recipe waits until its trainings have saved themselves. Status 85 says that the same command goes on there.
#   stopped STATUS
stopped() {
    local status=$1 job code
    trap end_jobs HUP INT TERM # jobs that are asked again are killed
    end_jobs
    for job in "${running[@]}"; do
        while
            code=0
            wait "${job}" || code=$?
            kill -0 "${job}" 2>/dev/null # a signal ends the waiting as well
        do :; done
        [[ ${code} -ne 85 ]] || status=85
    done
    running=()
    exit "${status}"
}
trap end_jobs EXIT
trap 'stopped 129' HUP
trap 'stopped 130' INT
trap 'stopped 143' TERM
start() {
    "$@" &
    running+=("$!")
}
finish() { # waits for the job started last
    local status=0
    wait "${running[-1]}" || status=$?
    unset 'running[-1]'
    return "${status}"
}

run() {
    start "$@"
    finish
}

# Every fold of one training, as an array of jobs, while the epochs that finish are shown.
#   train_folds stage1|ser FOLDER
train_folds() {
    local name=$1 folder=$2 fold_list fold job status=0 followed=() words
    read -ra fold_list <<<"${folds}"
    if [[ ${#fold_list[@]} -eq 0 ]]; then
        mapfile -t fold_list < <(printf '%s\n' "${datadir}"/fold*/fold.json | sed -nE 's|.*/fold([0-9]+)/fold.json|\1|p' | sort -n)
    fi
    for fold in "${fold_list[@]}"; do followed+=("${folder}/fold${fold}"); done
    start "${ser[@]}" progress "${followed[@]}"
    words=(--stage "${name}" "${which[@]}" "${where[@]}" "${with[@]}" --seed "${seed}" --stage1_from "${stage1_from}")
    if [[ ${num_nodes} -gt 1 ]]; then
        for ((job = 1; job <= ${#fold_list[@]} && status == 0; job++)); do
            start "${ser[@]}" launch --cmd "${cuda_cmd[*]}" --ngpu "${ngpu}" --num_nodes "${num_nodes}" \
                --log "${folder}/log/train.${job}.log" -- "${words[@]}" --job "${job}"
            finish || status=$?
        done
    else
        start "${cuda_cmd[@]}" --gpu "${ngpu}" --max-jobs-run "${at_a_time}" \
            ESPNET_SER_JOB=1:"${#fold_list[@]}" "${folder}/log/train.ESPNET_SER_JOB.log" \
            "${ser[@]}" train "${words[@]}" --job ESPNET_SER_JOB
        finish || status=$?
    fi
    # Until it is gone: a signal that comes between fork and exec finds this script's own trap, and is lost.
    while kill "${running[-1]}" 2>/dev/null; do sleep 0.1; done
    finish || true
    return "${status}"
}

# Stages 3 to 8 of one system, with one seed.
train_and_score() {
    local which=(--system "${system}" --tag="${tag}" --stage1_tag="${stage1_tag}") intermediate_name folder
    if stage_on 3; then
        intermediate_name=$("${ser[@]}" systems --system "${system}" --conf "${conf}" --print stage1)
        if [[ -n ${stage1_from} ]]; then
            log "stage 3: the intermediate model is taken from ${stage1_from}: nothing to do"
        elif [[ -z ${intermediate_name} ]]; then
            log "stage 3: ${system} has no intermediate finetuning: nothing to do"
        else
            folder=${expdir}/stage1/${intermediate_name}${stage1_tag:+_${stage1_tag}}
            log "stage 3: finetuning for ${intermediate_name//_/, }: logs in ${folder}/log"
            train_folds stage1 "${folder}"
        fi
    fi

    folder=${expdir}/${system}${tag:+_${tag}}
    if stage_on 4; then
        log "stage 4: finetuning ${system} for emotion: logs in ${folder}/log"
        train_folds ser "${folder}"
    fi

    if stage_on 5; then
        log "stage 5: predictions for the held-out utterances, by each way of choosing the epoch"
        run "${ser[@]}" select "${which[@]}" "${where[@]}"
    fi

    if stage_on 6; then
        log "stage 6: scores, tables and figures"
        run "${ser[@]}" score "${which[@]}" "${where[@]}" --command "${COMMAND_LINE}"
    fi

    if stage_on 7; then
        log "stage 7: packing for ESPnet's model zoo, transformers and ONNX"
        run "${ser[@]}" pack "${which[@]}" "${where[@]}" --fold="${pack_fold}" --onnx "${onnx}"
    fi

    if stage_on 8; then
        log "stage 8: upload to ${hf_repo}"
        run "${ser[@]}" upload --packed "${folder}/packed" --fold="${pack_fold}" --repo "${hf_repo}" \
            --private "${hf_private}" --dry_run "${upload_dry_run}"
    fi
}

if stage_on 1; then
    log "stage 1: data directories and folds"
    words=()
    for name in "${own_options[@]}"; do words+=("--${name}=${!name}"); done
    absolute=${datadir}
    [[ -z ${datadir} || ${datadir} == /* ]] || absolute=${PWD}/${datadir}
    run env -C "${CALLER_DIR}" "${PWD}/local/data.sh" "${words[@]}" --datadir="${absolute}" --folds_by "${folds_by}" --nj "${nj}" \
        --corpus_name="${corpus_name}" --corpus_lang="${corpus_lang}" --corpus_license="${corpus_license}" \
        --corpus_url="${corpus_url}"
fi

if stage_on 2; then
    log "stage 2: token lists, from each fold's training text"
    run "${ser[@]}" tokens --datadir "${datadir}" --dumpdir "${dumpdir}" --folds "${folds}" --token_type "${token_type}" \
        --nbpe "${nbpe}" --ssl "${ssl}"
fi

if [[ -n ${table}${systems} ]]; then
    if stage_on 3; then
        log "stages 3 to 6 of ${systems:-every system of table ${table}}: logs in ${expdir}/*/log"
        run "${ser[@]}" table --table="${table}" --systems="${systems}" --tag="${tag}" --stage1_tag="${stage1_tag}" \
            "${where[@]}" "${with[@]}" --seed "${seed}" --nj "${at_a_time}" \
            --train_cmd "${cuda_cmd[*]}" --command "${COMMAND_LINE}"
    fi
elif [[ -n ${seeds} ]]; then
    base_tag=${tag} base_stage1_tag=${stage1_tag}
    for seed in ${seeds}; do
        log "seed ${seed}"
        tag=${base_tag:+${base_tag}_}seed${seed}
        stage1_tag=${base_stage1_tag:+${base_stage1_tag}_}seed${seed}
        train_and_score
    done
    if stage_on 6; then
        run "${ser[@]}" seeds --system "${system}" --tag="${base_tag}" --conf "${conf}" --folds "${folds}" --expdir "${expdir}" \
            --seeds "${seeds}" --command "${COMMAND_LINE}"
    fi
else
    train_and_score
fi

log "Successfully finished. [elapsed=${SECONDS}s]"
