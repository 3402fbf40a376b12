#!/usr/bin/env bash
# As Qdrant's own since 1.3 (tools/entrypoint.sh): with a trap set, `wait` ends at the signal and not with the server,
# so that process 1 ends with 143 and takes the server along, whatever that was writing.
trap 'kill -TERM "$QDRANT_PID" 2>/dev/null' SIGTERM
trap 'kill -INT "$QDRANT_PID" 2>/dev/null' SIGINT

# shellcheck disable=SC2068 # as it stands there
./qdrant $@ &
QDRANT_PID=$!
wait $QDRANT_PID
exit $?
