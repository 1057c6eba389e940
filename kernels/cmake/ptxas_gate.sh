#!/bin/sh
# Compiler launcher for the .cu files: runs nvcc, keeps the resource report of ptxas beside the
# object file, and fails when ptxas reports a C75xx advisory. Those say that wgmma was serialized
# or setmaxnreg ignored: the kernel would be right but far slower than its plan, and ptxas itself
# only calls them "info".
object=
previous=
for argument in "$@"; do
  [ "$previous" = "-o" ] && object=$argument
  previous=$argument
done
[ -n "$object" ] || exec "$@"

log="$object.ptxas.log"
"$@" >"$log" 2>&1
status=$?
if [ "$status" -ne 0 ]; then
  cat "$log" >&2
  exit "$status"
fi
if grep -q 'C75[0-9][0-9]' "$log"; then
  grep 'C75[0-9][0-9]' "$log" >&2
  echo "$object: ptxas gave up the asynchronous matrix pipeline (C75xx above)" >&2
  rm -f "$object"
  exit 1
fi
grep -i 'warning' "$log" >&2
exit 0
