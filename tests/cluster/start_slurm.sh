#!/usr/bin/env bash
# Starts a Slurm of its own on this machine, without systemd, as whoever calls it: a controller and two nodes, n1 and n2.
#   start_slurm.sh STATE_DIR [SETTING ...]     e.g. start_slurm.sh /tmp/lab RequeueExit=85
# Afterwards: export SLURM_CONF=STATE_DIR/slurm.conf. Needs Debian's slurmctld, slurmd, slurm-client and munge.
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

state=$(mkdir -p "${1:?usage: start_slurm.sh STATE_DIR [SETTING ...]}" && cd "$1" && pwd)
shift
host=$(hostname -s)
port=${CLUSTER_TEST_PORT:-17817} # and the two that follow

mkdir -p "${state}"/{key,run,controller,log,n1,n2}
chmod 700 "${state}/key"
chmod 755 "${state}" "${state}/run" # munge insists
socket=${state}/run/munge.socket
[[ -s ${state}/key/munge.key ]] || (umask 277 && head -c 1024 /dev/urandom >"${state}/key/munge.key")

{
    cat <<EOF
ClusterName=test
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${port}
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=${socket},cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=${state}/controller
SlurmdSpoolDir=${state}/%n
SlurmctldPidFile=${state}/run/slurmctld.pid
SlurmdPidFile=${state}/run/slurmd.%n.pid
SlurmctldLogFile=${state}/log/slurmctld.log
SlurmdLogFile=${state}/log/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
# Impatient, for tests.
SlurmctldTimeout=10
SlurmdTimeout=15
BatchStartTimeout=10
KillWait=10
ReturnToService=1
GresTypes=gpu
NodeName=n1 NodeHostname=${host} NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=2 RealMemory=32000 Gres=gpu:2
NodeName=n2 NodeHostname=${host} NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=2 RealMemory=32000 Gres=gpu:2
PartitionName=work Nodes=n1,n2 Default=YES MaxTime=INFINITE OverSubscribe=NO
EOF
    [[ $# -eq 0 ]] || printf '%s\n' "$@"
} >"${state}/slurm.conf"
printf '%s\n' AutoDetect=off 'Name=gpu File=/dev/null' 'Name=gpu File=/dev/zero' >"${state}/gres.conf" # pretended

export SLURM_CONF=${state}/slurm.conf
munged --socket="${socket}" --key-file="${state}/key/munge.key" --pid-file="${state}/run/munged.pid" \
    --log-file="${state}/log/munged.log" --seed-file="${state}/key/seed" --num-threads=2
slurmctld
for node in n1 n2; do slurmd -N "${node}"; done

for ((tries = 0; tries < 150; tries++)); do
    [[ $(timeout 5 sinfo --noheader --Node --format=%T 2>/dev/null | sort | uniq -c | tr -s ' ') != ' 2 idle' ]] || exit 0
    sleep 0.2
done
echo "$0: the nodes did not become idle; logs are in ${state}/log" >&2
exit 1
