#!/usr/bin/env bash
# python.sh setup | has | run FILE ARGS…
# The Python clients of Kafka (versions: python/requirements.txt) from PyPI in an environment of their own below ${SERVERS_HOME:-~/.cache/millrace-servers}.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/python
env=${SERVERS_HOME:-$HOME/.cache/millrace-servers}/python-$(cksum <"$here/requirements.txt" | cut -d' ' -f1)
case "${1:-}" in
  setup)
    [ -f "$env/complete" ] && exit 0
    rm -rf "$env"
    python3 -m venv "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check --only-binary confluent-kafka -r "$here/requirements.txt"
    touch "$env/complete"
    ;;
  has) [ -f "$env/complete" ] ;;
  run)
    shift
    exec "$env/bin/python" "$@"
    ;;
  *)
    sed -n 2,3p "$0"
    exit 2
    ;;
esac
