#!/usr/bin/env bash
# Checks a data directory against Kaldi's rules and lists every problem it finds.
set -euo pipefail
shopt -s inherit_errexit # a file that cannot be read must not pass as one without problems
export LC_ALL=C # the order that the files are sorted in

help_message="Usage: $0 [--no-feats] [--no-text] [--no-wav] DIR
Checks a Kaldi data directory; lists every problem on stderr and exits 1, or says how much it holds and exits 0.
  --no-feats  feats.scp need not be there
  --no-text   text need not be there
  --no-wav    wav.scp need not be there
A file that is there is checked all the same.
  e.g. $0 --no-feats data/fold1/train"

required=(utt2spk spk2utt)
feats=true text=true wav=true
while [[ $# -gt 0 && $1 == -* ]]; do
    case $1 in
        --no-feats) feats=false ;;
        --no-text) text=false ;;
        --no-wav) wav=false ;;
        --help | -h) printf '%s\n' "${help_message}" && exit 0 ;;
        *) printf 'validate_data_dir.sh: unknown option %s (--help lists them)\n' "$1" >&2 && exit 2 ;;
    esac
    shift
done
if [[ $# -ne 1 ]]; then
    printf 'validate_data_dir.sh: give one data directory, got %d (--help says more)\n' $# >&2
    exit 2
fi
dir=${1%/}
if [[ ! -d ${dir}/ ]]; then
    printf 'validate_data_dir.sh: no such directory: %s\n' "$1" >&2
    exit 1
fi
! ${feats} || required+=(feats.scp)
! ${text} || required+=(text)
! ${wav} || required+=(wav.scp)

# Files reach awk through stdin: as an argument, a path with a '=' in it would be an assignment.
keys() { awk 'NF { print $1 }' <"${dir}/$1" | sort -u; }

# check_lines FILE LEAST MOST [PATTERN MEANING]: between LEAST and MOST fields a line (0: no limit), the second one matching.
check_lines() {
    local last_byte
    if [[ ! -s ${dir}/$1 ]]; then
        echo "$1: is empty"
        return
    fi
    last_byte=$(tail -c 1 <"${dir}/$1" | od -An -tx1)
    [[ ${last_byte// /} == 0a ]] || echo "$1: the last line has no newline"
    awk -v file="$1" -v least="$2" -v most="$3" -v pattern="${4-}" -v meaning="${5-}" '
        function problem(text) { print file ": line " NR ": " text }
        /^\357\273\277/ { problem("begins with a byte-order mark") }
        /\r/ { problem("has a carriage return") }
        NF == 0 { problem("is empty"); next }
        /^[ \t]/ { problem("begins with white space") }
        NF < least { problem("has " NF " field(s), needs " least " or more: " $0); }
        most && NF > most { problem("has " NF " fields, " most " at most are allowed: " $0) }
        pattern != "" && NF >= 2 && $2 !~ pattern { problem("\"" $2 "\" is not " meaning) }
        ($1 "") in first_line { problem("repeats the key " $1 " of line " first_line[$1]); next }
        { first_line[$1] = NR }
        # Joined to "" so that keys like 10 and 9 compare as strings.
        NR > 1 && !unsorted && ($1 "") < (previous "") {
            unsorted = 1
            problem("is out of order: " $1 " comes after " previous " (sort with LC_ALL=C)")
        }
        { previous = $1 }' <"${dir}/$1"
}

# check_list WHAT FILE REFERENCE: both have the same keys. A few of those at fault are named.
check_list() {
    comm -3 <(keys "$2") <(keys "$3") | awk -F '\t' -v what="$1" -v file="$2" -v reference="$3" '
        function note(side, key) { if (++count[side] <= 5) named[side] = named[side] " " key }
        function report(side, text) {
            if (count[side]) print file ": " count[side] " " what "(s) " text ":" named[side] (count[side] > 5 ? " ..." : "")
        }
        $1 != "" { note(1, $1); next }
        { note(2, $2) }
        END { report(1, "not in " reference); report(2, "of " reference " missing") }'
}

check_text_tags() {
    awk '{
        for (i = 2; i <= NF; i++)
            if ($i ~ /^(\[.*\]|<.*>|#0)$/) print "text: line " NR ": " $i " is a tag, not a word"
    }' <"${dir}/text"
}

# Speakers grouped in utt2spk: the order by speaker and the order by utterance must be the same one.
check_speaker_order() {
    local disorder
    if ! disorder=$(sort -s -k2,2 -c <"${dir}/utt2spk" 2>&1); then
        disorder=${disorder#*disorder: }
        echo "utt2spk: is not sorted by speaker, first at '${disorder}' (make the speaker id a prefix of the utterance id)"
    fi
}

check_spk2utt() {
    comm -3 <(awk 'NF { print $1, $2 }' <"${dir}/utt2spk" | sort -u) \
        <(awk '{ for (i = 2; i <= NF; i++) print $i, $1 }' <"${dir}/spk2utt" | sort -u) | awk -F '\t' '
        $1 != "" { split($1, pair, " "); print "spk2utt: does not give " pair[1] " to " pair[2] ", as utt2spk does"; next }
        { split($2, pair, " "); print "spk2utt: gives " pair[1] " to " pair[2] ", unlike utt2spk" }'
    awk '{
        for (i = 2; i <= NF; i++) {
            if ($i in speaker) print "spk2utt: line " NR ": lists " $i " a second time"
            else if (i > 2 && ($i "") < ($(i - 1) "")) print "spk2utt: line " NR ": " $i " is out of order"
            speaker[$i] = $1
        }
    }' <"${dir}/spk2utt"
}

check_segments() {
    awk 'NF >= 4 && !($3 >= 0 && ($4 > $3 || $4 == -1)) { print "segments: line " NR ": bad times " $3 " to " $4 }' <"${dir}/segments"
    [[ ! -f ${dir}/wav.scp ]] || comm -23 <(awk 'NF >= 2 { print $2 }' <"${dir}/segments" | sort -u) <(keys wav.scp) |
        awk '{ print "segments: recording " $1 " is not in wav.scp" }'
}

check_all() {
    local file path
    local per_utterance=()
    for file in "${required[@]}"; do
        [[ -f ${dir}/${file} ]] || echo "${file}: is missing"
    done
    for path in "${dir}"/{text,wav.scp,feats.scp,segments,spk2utt,spk2gender} "${dir}"/utt2*; do
        [[ -f ${path} ]] || continue
        file=${path##*/}
        case ${file} in
            text)
                check_lines text 1 0
                check_text_tags
                ;;
            segments) check_lines segments 4 4 ;;
            utt2spk) check_lines utt2spk 2 2 ;;
            spk2gender | utt2gender) check_lines "${file}" 2 2 '^[fm]$' "f or m" ;;
            utt2num_samples | utt2num_frames) check_lines "${file}" 2 2 '^[0-9]*[1-9][0-9]*$' "a count above zero" ;;
            *) check_lines "${file}" 2 0 ;;
        esac
        case ${file} in
            utt2spk | spk2utt | spk2gender) ;;
            wav.scp) [[ -f ${dir}/segments ]] || per_utterance+=("${file}") ;;
            *) per_utterance+=("${file}") ;;
        esac
    done

    [[ ! -f ${dir}/segments ]] || check_segments
    [[ -s ${dir}/utt2spk ]] || return 0
    check_speaker_order
    for file in "${per_utterance[@]}"; do
        check_list utterance "${file}" utt2spk
    done
    [[ -s ${dir}/spk2utt ]] || return 0
    check_spk2utt
    [[ ! -f ${dir}/spk2gender ]] || check_list speaker spk2gender spk2utt
}

problems=$(check_all)
if [[ -n ${problems} ]]; then
    while IFS= read -r problem; do
        printf 'validate_data_dir.sh: %s\n' "${problem}"
    done <<<"${problems}" >&2
    printf 'validate_data_dir.sh: %d problem(s) in %s\n' "$(wc -l <<<"${problems}")" "${dir}" >&2
    exit 1
fi
printf 'validate_data_dir.sh: successfully validated %s (%d utterances, %d speakers)\n' \
    "${dir}" "$(wc -l <"${dir}/utt2spk")" "$(wc -l <"${dir}/spk2utt")"
