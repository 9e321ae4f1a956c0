#!/usr/bin/env bash
# kafka.sh setup | lib | tool CLASS ARGS…
# The Java client and tools of a real Kafka distribution, from Maven Central (55 MB, once). `lib` says where they are, if they are.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/kafka
lib=${SERVERS_HOME:-$HOME/.cache/millrace-servers}/kafka/lib
case "${1:-}" in
  setup) mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" -DincludeScope=runtime ;;
  lib) ls "$lib"/kafka-tools-*.jar >/dev/null 2>&1 && echo "$lib" ;;
  tool)
    shift
    exec "${KAFKA_JAVA:-java}" -Xmx512m -XX:TieredStopAtLevel=1 -Dkafka.log.level="${LVL:-WARN}" "-Dlog4j2.configurationFile=$here/log4j2.yaml" -cp "$lib/*" "$@"
    ;;
  *)
    sed -n 2,3p "$0"
    exit 2
    ;;
esac
