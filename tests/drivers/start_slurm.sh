#!/usr/bin/env bash
# A Slurm of one node on this machine, for tests: munged, slurmctld and slurmd on the loopback interface,
# with FOLDER for their state. Needs root, and Debian's slurm-wlm and munge.
#   start_slurm.sh FOLDER [stop]
# Then: export SLURM_CONF=FOLDER/slurm.conf
set -eu
mkdir -p "$1/state" "$1/spool"
folder=$(realpath "$1")
export SLURM_CONF=$folder/slurm.conf
if [ "${2:-}" = stop ]; then
  for daemon in slurmd slurmctld munged; do
    [ ! -f "$folder/$daemon.pid" ] || kill "$(cat "$folder/$daemon.pid")" || true
  done
  exit
fi
host=$(hostname -s)
cat >"$SLURM_CONF" <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
AuthInfo=socket=$folder/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
KillWait=30
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
mkdir -p "$folder/munge"
chmod 755 "$folder" "$folder/munge"
[ -f "$folder/munge/key" ] || (umask 077; dd if=/dev/urandom of="$folder/munge/key" bs=128 count=1 2>/dev/null)
munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
  --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge/seed"
slurmctld
slurmd
for _ in $(seq 30); do
  [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && exit 0
  sleep 1
done
echo "no idle node; see $folder/slurmctld.log" >&2
exit 1
