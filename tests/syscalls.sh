#!/usr/bin/env bash
# What a GET on a kept connection costs in system calls. Run under tests/support/with-server with HOSTILE_URL,
# after target/c/keepalive is built.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=100 # as in tests/c/keepalive.c
most=4    # per GET

trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
strace -f -o "$trace" target/c/keepalive >/dev/null

passed=0 failed=0
# check WHAT GOT OPERATOR WANTED
check() {
    if (($2 $3 $4)); then
        passed=$((passed + 1))
        echo "ok      $1: $2"
    else
        failed=$((failed + 1))
        echo "FAILED  $1: $2, not $3 $4"
    fi
}

# between FROM TO: the system calls between two markers, one a line, of every thread.
between() {
    awk -v from="$1" -v to="$2" '
        / getppid\(/ { marker++; next }
        / <\.\.\. [a-z0-9_]+ resumed>/ || / (---|\+\+\+) / { next }
        marker >= from && marker < to { print }' "$trace"
}
count() { grep -cE "$1" || true; }

check 'markers' "$(count ' getppid\(' <"$trace")" == 3
check 'threads started for the first GETs' "$(between 1 2 | count ' clone3?\(')" == 1
check 'name lookups for them' "$(between 1 2 | count ' openat\(.*"/etc/hosts"')" == 1
# Where the name has an IPv6 address too, a connect to that one is refused before. A call may stand in two lines
# of the trace; its arguments are in the first.
check 'connections opened for them' "$(between 1 2 | count " connect\(.* sin_port=htons\(${HOSTILE_URL##*:}\)")" == 1
check 'threads started afterwards' "$(between 2 3 | count ' (clone3?|fork|vfork)\(')" == 0
check 'files and sockets opened afterwards' "$(between 2 3 | count ' (open|openat|socket|socketpair|connect)\(')" == 0
total=$(between 2 3 | count .)
check "system calls of $calls GETs" "$total" '<=' $((calls * most))
check 'requests sent in them' "$(between 2 3 | count ' sendto\(')" == "$calls"
between 2 3 | sed -E 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/' | sort | uniq -c | sort -rn | sed 's/^ */        /'
awk -v n="$total" -v calls="$calls" 'BEGIN { printf "        %.2f system calls a GET\n", n / calls }'

echo "$passed passed, $failed failed"
((failed == 0))
