# What up, down and restart share. Everything of one cluster is in its run folder: cmd/NAME is how a
# process was started, pid/NAME its process id, log/NAME.log what it said.
# shellcheck shell=bash

run=${LODGE_KUBE_RUN:-/tmp/lodge-kube}
netns=lodge-kube          # all of the cluster is in this network namespace
link=lodge-kube0          # the host's end of the way into it
host_ip=10.213.0.1
node_ip=10.213.0.2
pod_range=10.213.64.0/18
service_range=10.213.128.0/18
node=lodge-node
api=https://$node_ip:6443
# The kubelet and what it starts change these for the whole host.
sysctls=(kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes vm/overcommit_memory vm/panic_on_oom)
# Paths that are fixed in Kubernetes, containerd and CNI: those that were not there before go again.
fixed=(/run/netns /run/containerd /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods)

# The same flags for every program here, so that they share compiled packages with hyper.
GOFLAGS="$(go env GOFLAGS) -trimpath -tags=providerless,dockerless"
export CGO_ENABLED=0 GOFLAGS

say() { printf '%s kube: %s\n' "$(date +%T)" "$*" >&2; }
die() { say "$*"; exit 1; }

# await SECONDS WHAT COMMAND… waits until the command succeeds, and says what did not happen in time.
await() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { say "gave up waiting for $what"; return 1; }
    sleep 0.2
  done
}

# ours PID: is it a process of this cluster, and alive? Numbers are used again, so the mark that
# launch leaves in the environment is looked for. A zombie has none.
ours() { [ -n "$1" ] && grep -qzxF "LODGE_KUBE_CLUSTER=$run" "/proc/$1/environ" 2>/dev/null; }
gone() { ! ours "$1"; }

# start NAME COMMAND… runs it in the network namespace, in the background.
start() {
  local name=$1
  shift
  printf '%q ' "$@" >"$run/cmd/$name"
  launch "$name"
}

# launch NAME starts again what start has started.
launch() {
  LODGE_KUBE_CLUSTER=$run setsid bash -c "exec nsenter --net=/run/netns/$netns -- $(<"$run/cmd/$1")" \
    >>"$run/log/$1.log" 2>&1 </dev/null &
  echo $! >"$run/pid/$1"
}

# stop NAME ends it and returns when it is gone.
stop() {
  local pid
  pid=$(cat "$run/pid/$1" 2>/dev/null) || return 0
  if ours "$pid"; then
    kill "$pid" 2>/dev/null
    await 15 "the end of $1" gone "$pid" || { kill -9 "$pid"; await 10 "the end of $1 after kill -9" gone "$pid"; }
  fi
  rm -f "$run/pid/$1"
}

# call METHOD PATH [FILE] asks the API server as administrator.
call() {
  local method=$1 path=$2
  shift 2
  curl -fsS --max-time 20 --cacert "$run/pki/apiserver.crt" -H "Authorization: Bearer $(<"$run/token")" \
    -X "$method" "$api$path" ${1:+-H 'Content-Type: application/yaml' --data-binary "@$1"}
}

containers() { ctr --address "$run/containerd.sock" --namespace k8s.io "$@"; }

# load NAME FOLDER [ENTRYPOINT [USER]] makes a folder an image that the cluster has.
load() {
  "$run/bin/mkimage" -name "$1" -entrypoint "${3:-}" -user "${4:-}" -o "$run/image.tar" "$2"
  containers images import "$run/image.tar" >/dev/null
  rm "$run/image.tar"
}
