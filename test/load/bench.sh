#!/usr/bin/env bash
# Measures the binary in bin/ and writes docs/benchmarks.md. Takes about an hour; ONLY="fleet map" measures
# these sections anew and leaves the others as they stand; FAST=1 is a look of five minutes that writes
# nothing. Folders are temporary; what it starts, it stops. LODGE names another binary, CHP a
# configurable-http-proxy to compare with.
set -euo pipefail
cd "$(dirname "$0")/../.."
sections=(files s3 fleet map proxies workflows tokens)
lodge=${LODGE:-$PWD/bin/lodge}
gateway=${VERSITYGW:-$PWD/.cache/bin/versitygw}
# BENCH_DIR chooses the disk: /tmp is memory on some machines, and would measure nothing.
work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/lodge-bench-XXXXXX")
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

limits=()
fleet_limits=()
proxy_limits=()
if [ "${FAST:-}" ]; then
  proxy_limits=(--rounds 1 --proxy-duration 2s)
  fleet_limits=(--fleet-duration 3s --site-time 20s --tasks 10000 --rate 1000)
  limits=(--duration 3s --count 3000 --large $((128 << 20)) --medium 50000000 --objects 1000,5000 --growth-time 1m)
fi

free_port() {
  local port
  while port=$((20000 + RANDOM % 20000)); (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do :; done
  echo "$port"
}

wait_for() { # COMMAND…
  for _ in $(seq 200); do
    "$@" 2>/dev/null && return
    sleep 0.05
  done
  echo "bench: in vain: $*" >&2
  return 1
}

# serve DATA [VARIABLE=VALUE…] starts a Lodge; it sets server, pid and token.
serve() {
  local data=$1 port
  shift
  port=$(free_port)
  server=http://127.0.0.1:$port
  env "$@" "$lodge" serve --data "$data" --listen "127.0.0.1:$port" --no-simulator >"$work/lodge.log" 2>&1 &
  pid=$!
  pids+=("$pid")
  wait_for curl -fsS -o /dev/null "$server/readyz" || { tail -20 "$work/lodge.log" >&2; return 1; }
  token=$(env "$@" "$lodge" token create --data "$data" --name bench --claim client_id=0192f3a1-0000-7000-8000-00000000be7c)
  admin=$(env "$@" "$lodge" token create --data "$data" --name bench-fleet --admin)
}

# as_nobody runs a command that refuses to be run by root.
as_nobody() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi
}

# postgres starts an empty PostgreSQL with its default settings; it sets database.
postgres() {
  local port data=$work/postgres
  PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
  command -v initdb >/dev/null || { echo "bench: no PostgreSQL: initdb is missing (package postgresql)" >&2; return 1; }
  port=$(free_port)
  mkdir "$data"
  chmod 755 "$work"
  if [ "$(id -u)" = 0 ]; then chown nobody "$data"; fi
  as_nobody initdb -D "$data" -U lodge -A trust >"$work/postgres.log"
  as_nobody postgres -D "$data" -h 127.0.0.1 -p "$port" -k "" >>"$work/postgres.log" 2>&1 &
  pids+=("$!")
  wait_for pg_isready -q -h 127.0.0.1 -p "$port"
  database=postgres://lodge@127.0.0.1:$port/postgres?sslmode=disable
}

# fleet measures the fleet part.
fleet() {
  serve "$work/fleet"
  {
    echo "## Fleet"
    echo
    echo "Fleet adapters report through \`/fleet/_internal\`, subscribers listen through socket.io over WebSockets. A delay"
    echo "is counted from when a report was due, so that a server that does not read is not forgiven. Of states a"
    echo "subscriber who is slow gets the newest: the others are superseded, not lost. What stands as the original's"
    echo "was published with the request for this part, measured on a machine of this kind; it was not run here."
    echo
    echo "Everything below up to the next heading is on SQLite."
  } >>"$out"
  "$work/load" --server "$server" --token "$admin" --pid "$pid" --scenarios ingest,robots,site,cheap,tasks "${fleet_limits[@]}" "${limits[@]}" >>"$out"
  stop
  rm -rf "$work/fleet"

  echo "bench: fleet on PostgreSQL" >&2
  postgres
  serve "$work/fleet" "LODGE_DATABASE_URL=$database"
  {
    echo
    echo "## Fleet on PostgreSQL (same machine, default settings)"
    echo
    echo "The database's own processor time is not in the figures."
  } >>"$out"
  "$work/load" --server "$server" --token "$admin" --pid "$pid" --scenarios ingest,tasks "${fleet_limits[@]}" "${limits[@]}" >>"$out"
  stop
}

# proxies measures the way to an app, beside other proxies before the very same one: a process of another
# session gets another share of the processors, so that one of their own would be another app.
proxies() {
  local backend port session peers=
  # As root, apps run as whoever owns nothing; the app is our own, so that this is said to be well.
  serve "$work/apps" LODGE_APPS_PROCESS_ALLOW_ROOT=$([ "$(id -u)" = 0 ] && echo true || echo false) \
    LODGE_APPS_CATALOGUE="[{id: bench, command: ['$work/load', backend, '{port}'], allow: {users: ['*']}, max_connections: 1000, max_websockets: 1000}]"
  session=$(app -X POST "$server/api/v1/apps/bench/sessions" | field id)
  wait_for ready_app "$session"
  backend=$(app "$server/api/v1/app-sessions/$session" | field address)

  port=$(free_port)
  "$work/load" bare "127.0.0.1:$port" "http://$backend" &
  pids+=("$!")
  peers=bare=127.0.0.1:$port=$!
  wait_for curl -fsS -o /dev/null "http://127.0.0.1:$port/"
  if command -v nginx >/dev/null; then
    port=$(free_port)
    cat >"$work/nginx.conf" <<EOF
daemon off; pid $work/nginx.pid; error_log $work/nginx.log; worker_processes 2;
events { worker_connections 4096; }
http {
  access_log $work/nginx-access.log; client_body_temp_path $work/nginx-b; proxy_temp_path $work/nginx-p; fastcgi_temp_path $work/nginx-f; uwsgi_temp_path $work/nginx-u; scgi_temp_path $work/nginx-s;
  map \$http_upgrade \$onward { default upgrade; '' ''; }
  upstream app { server $backend; keepalive 64; }
  server {
    listen 127.0.0.1:$port; keepalive_requests 100000000;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Host \$host; proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection \$onward; }
  }
}
EOF
    nginx -c "$work/nginx.conf" &
    pids+=("$!")
    peers+=,nginx=127.0.0.1:$port=$!
    wait_for curl -fsS -o /dev/null "http://127.0.0.1:$port/"
  fi
  local chp=${CHP:-$(command -v configurable-http-proxy || true)}
  if [ -n "$chp" ]; then
    local api
    port=$(free_port)
    api=$(free_port)
    CONFIGPROXY_AUTH_TOKEN=bench "$chp" --ip 127.0.0.1 --port "$port" --api-ip 127.0.0.1 --api-port "$api" --default-target "http://$backend" --log-level warn >"$work/chp.log" 2>&1 &
    pids+=("$!")
    peers+=,configurable-http-proxy=127.0.0.1:$port=$!
    wait_for curl -fsS -o /dev/null "http://127.0.0.1:$port/"
  fi
  {
    echo "## The way to an app"
    echo
    echo "Lodge with everything on – a token, the owner compared, header rules, activity, access log – beside proxies"
    echo "that do nothing of that, before the same process, in turns; the middle of ${rounds:-3} rounds."
  } >>"$out"
  "$work/load" --server "$server" --token "$admin" --pid "$pid" --scenarios proxy --backend "$backend" --peers "$peers" "${proxy_limits[@]}" >>"$out"
  app -X DELETE "$server/api/v1/app-sessions/$session?forget=true" >/dev/null || true
  stop
  {
    echo
    echo "What is kept of a request, what an idle app session takes, and a look through 10,000 of them; and an app from"
    echo "its launch to its first answer: a process, and a container beside Docker's own command."
    echo
    benchmarks 'Note|Idle|Cull' 1s ./internal/apps
    echo
    benchmarks Spawn 20x ./internal/apps/process
    echo
    benchmarks Start 10x ./internal/apps/docker
  } >>"$out"
}

app() { curl -fsS -H "Authorization: Bearer $admin" "$@"; }
field() { grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d'"' -f4; }
ready_app() { [ "$(app "$server/api/v1/app-sessions/$1" | field state)" = ready ]; }

# map measures the console's map in a real browser.
map() {
  (cd console && BENCH_OUT=$out LODGE_BIN=$lodge BENCH_ROUNDS=${FAST:+10} npm run --silent bench >&2) || return 1
}

stop() { kill "$pid" && wait "$pid" 2>/dev/null || true; }

# files measures uploads and downloads on the embedded defaults.
files() {
  serve "$work/files"
  {
    echo "## Files and SQLite (nothing installed)"
    echo
    echo "Idle, everything embedded: $(awk '/VmRSS/ {printf "%.0f MiB", $2 / 1024}' "/proc/$pid/status") resident."
  } >>"$out"
  "$work/load" --server "$server" --token "$token" --pid "$pid" --data "$work/files" "${limits[@]}" >>"$out"
  stop
  rm -rf "$work/files"
}

# s3 measures the same on an S3-compatible store.
s3() {
  [ -x "$gateway" ] || { echo "bench: no S3: $gateway is missing (make builds it)" >&2; return 1; }
  local port
  mkdir -p "$work/s3/lodge"
  port=$(free_port)
  "$gateway" --access bench --secret bench-secret --port "127.0.0.1:$port" --quiet posix "$work/s3" >"$work/s3.log" 2>&1 &
  pids+=("$!")
  wait_for bash -c ": </dev/tcp/127.0.0.1/$port"
  serve "$work/data" LODGE_OBJECTS_DRIVER=s3 "LODGE_OBJECTS_S3_ENDPOINT=127.0.0.1:$port" LODGE_OBJECTS_S3_BUCKET=lodge \
    LODGE_OBJECTS_S3_REGION=us-east-1 LODGE_OBJECTS_S3_ACCESS_KEY=bench LODGE_OBJECTS_S3_SECRET_KEY=bench-secret LODGE_OBJECTS_S3_USE_TLS=false
  echo "## S3 (versitygw on the same disk) and SQLite" >>"$out"
  "$work/load" --server "$server" --token "$token" --pid "$pid" --folder "$work" --scenarios small,s3,downloads "${limits[@]}" \
    --s3-endpoint "127.0.0.1:$port" --s3-bucket lodge --s3-access bench --s3-secret bench-secret >>"$out"
  {
    echo
    echo "Lodge gives out nothing that it has not compared with the checksum in its row. Where the S3 client has"
    echo "the machine to itself and hashes nothing, it is limited by one copy through loopback; beside it stands"
    echo "what the same client reaches when it checks what it gets."
  } >>"$out"
  stop
}

# benchmarks runs benchmarks of Go: benchmarks PATTERN TIME PACKAGE…
benchmarks() {
  local pattern=$1 time=$2
  shift 2
  echo '```'
  go test -run '^$' -bench "$pattern" -benchtime "$time" "$@" 2>"$work/go.log" | grep -E '^(Benchmark|cpu)' || { tail -5 "$work/go.log" >&2; return 1; }
  echo '```'
}

# workflows measures transpiling, lists, and what the local engine adds to a step.
workflows() {
  {
    echo "## Workflows"
    echo
    echo "From a job's JSON to Argo's: read, checked, transpiled, written; chains of so many bricks, and 200 graphs one within"
    echo "the other. The original, as published with the request for this part: 0.36 s for 1,000 nodes, 1.9 s for 5,000, and"
    echo "10 s to check a depth of 200."
    echo
    benchmarks Transpile 2s ./internal/workflows/argo
    echo
    echo "Lists over 10,000 versions and 100,000 jobs, through HTTP, on SQLite."
    echo
    benchmarks Lists 1s ./internal/workflows
    echo
    echo "The local engine: a job of 1,000 steps that do nothing, beside as many bare processes one after the other; and a"
    echo "hundred jobs of five steps at once."
    echo
    benchmarks 'Nodes|JobsTogether' 3x ./internal/workflows/local
  } >>"$out"
}

# tokens measures the check of a bearer token.
tokens() {
  {
    echo "## Verifying a token"
    echo
    benchmarks 'Verify|Authenticate' 2s ./internal/identity/...
  } >>"$out"
}

# measured puts a section's place and moment before what it wrote.
measured() {
  echo "<!-- $1 -->"
  cat "$out"
  echo
  echo "Measured on $(date -u +%F) at $("$lodge" --version 2>/dev/null | head -1)."
  echo
}

document=docs/benchmarks.md
go build -o "$work/load" ./test/load
{
  echo "# Benchmarks"
  echo
  echo "Measured with \`make bench\`, each section when it says."
  echo
  echo "- processor: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(nproc) cores (the load program shares them)"
  echo "- memory: $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo); kernel $(uname -r); $(go version | cut -d' ' -f3)"
  echo "- disk: $(df --output=fstype "$work" | tail -1)"
  echo "- binary: $(($(stat -c %s "$lodge") >> 20)) MiB"
  echo
} >"$work/head.md"

# save writes the document with what has been measured by now: an hour's figures are not lost to what fails later.
save() {
  local section
  cp "$work/head.md" "$work/document.md"
  for section in "${sections[@]}"; do
    if [ -f "$work/$section.done" ]; then cat "$work/$section.done"; else
      awk -v from="<!-- $section -->" '$0 == from {on = 1} /^<!-- / && $0 != from {on = 0} on' "$document"
    fi >>"$work/document.md"
  done
  if [ -z "${FAST:-}" ]; then cp "$work/document.md" "$document"; fi
}

for section in "${sections[@]}"; do
  if [ -n "${ONLY:-}" ] && [[ " $ONLY " != *" $section "* ]]; then continue; fi
  echo "bench: $section" >&2
  out=$work/$section.md
  : >"$out"
  "$section"
  measured "$section" >"$work/$section.done"
  cat "$out"
  save
done
