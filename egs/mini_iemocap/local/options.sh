# shellcheck shell=bash disable=SC2034
# Sourced by ser.sh.

# Its own
num_utts=480      # utterances to speak, of which five in six are of the four classes
iemocap=          # a release to take instead, nothing is spoken then
check_counts=auto # compare with the published counts: auto (if the release looks full), full, partial

# Once all options are known, before anything runs.
check_options() {
    [[ ${num_utts} =~ ^[1-9][0-9]{0,8}$ ]] || fail "--num_utts takes a whole number, not ${num_utts@Q}"
    iemocap=$(from_caller "${iemocap}")
}
