#!/usr/bin/env bash
# Start and stop a Slurm cluster of one node, this machine, for tests. It uses only the loopback
# interface, and one folder for configuration, state and logs.
#
#     bash tests/cluster/cluster.sh up FOLDER       start; use it with SLURM_CONF=FOLDER/slurm.conf
#     bash tests/cluster/cluster.sh down FOLDER     stop it, with all jobs
#
# It needs munge, slurmctld and slurmd (Debian: apt-get install slurm-wlm munge). The path of FOLDER
# must be short and without spaces, because sockets are created in it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
daemons='slurmd slurmctld munged' # in the order of stopping

fail() {
    echo "cluster.sh: $1" >&2
    exit 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

up() {
    local folder=$1 name
    for name in $daemons; do
        command -v "$name" > /dev/null || fail "no $name here (Debian: apt-get install slurm-wlm munge)"
    done
    mkdir -p "$folder"/state "$folder"/spool
    chmod 755 "$folder"
    folder=$(cd "$folder" && pwd)
    mungekey --create --keyfile "$folder/munge.key"
    munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munged.pid" \
        --log-file "$folder/munged.log" --seed-file "$folder/munge.seed"
    cat > "$folder/slurm.conf" << CONF
ClusterName=test
SlurmctldHost=$(uname -n)(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=1,defer_batch=0
ReturnToService=2
SlurmdParameters=config_overrides # allow any number of jobs at once
MailProg=/bin/true
GresTypes=gpu
NodeName=node NodeHostname=$(uname -n) NodeAddr=127.0.0.1 Gres=gpu:2 CPUs=8 RealMemory=16000
PartitionName=all Nodes=node Default=YES MaxTime=60 State=UP
CONF
    printf 'Name=gpu File=%s\n' /dev/null /dev/zero > "$folder/gres.conf" # stand-ins for GPUs
    export SLURM_CONF=$folder/slurm.conf
    slurmctld
    slurmd -N node
    for _ in {1..100}; do
        if [ "$(sinfo --noheader --format %T 2> /dev/null)" = idle ]; then return 0; fi
        sleep 0.2
    done
    tail -n 20 "$folder"/slurmctld.log "$folder"/slurmd.log >&2
    fail "$folder: the node did not come up; its logs are there"
}

down() {
    local folder=$1 name pid
    SLURM_CONF=$folder/slurm.conf timeout 10 scancel --user "$(id -un)" 2> /dev/null || true
    for name in $daemons; do
        pid=$(cat "$folder/$name.pid" 2> /dev/null) || continue
        kill "$pid" 2> /dev/null || continue
        for _ in {1..50}; do
            kill -0 "$pid" 2> /dev/null || continue 2
            sleep 0.1
        done
        kill -9 "$pid" 2> /dev/null || true
    done
}

case ${1:-}:$# in
    up:2 | down:2) "$@" ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 2 ;;
esac
