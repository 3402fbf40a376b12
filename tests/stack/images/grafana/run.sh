#!/bin/sh
# The contract of packaging/docker/run.sh: plugins are fetched first, and without them nothing starts.
set -e
[ -w "$GF_PATHS_DATA" ] || echo "GF_PATHS_DATA='$GF_PATHS_DATA' is not writable."
[ -d "$GF_PATHS_PLUGINS" ] || mkdir "$GF_PATHS_PLUGINS"
if [ -n "${GF_INSTALL_PLUGINS}" ]; then
  echo "Error: Get \"https://grafana.com/api/plugins/repo/${GF_INSTALL_PLUGINS}\": no route to host" >&2
  exit 1
fi
exec python3 /grafana.py "$@"
