#!/usr/bin/env bash
# run.sh setup | run [--check] [--timeout=SECONDS] FILE…
# Golden files on Apache Flink (version: pom.xml), in one JVM: `run` writes the section "--- expect" of each, with --check it compares instead.
# setup: the jars, 90 MB from Maven Central, kept in ${SERVERS_HOME:-~/.cache/millrace-servers}. Another Flink: FLINK_LIB=$(../flink.sh lib) run.sh run …
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${SERVERS_HOME:-$HOME/.cache/millrace-servers}/flink-oracle
lib=${FLINK_LIB:-$home/lib}
case "${1:-}" in
  setup)
    mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home/lib"
    ;;
  run)
    shift
    classes="$home/classes-$({ cat "$here"/*.java && ls "$lib"; } | sha256sum | cut -c1-12)"
    if [ ! -d "$classes" ]; then
      mkdir -p "$home"
      javac -d "$classes.new" -cp "$lib/*" "$here"/*.java
      mkdir -p "$classes.new/META-INF/services"
      echo Steps > "$classes.new/META-INF/services/org.apache.flink.table.factories.Factory"
      mv "$classes.new" "$classes"
    fi
    exec "${FLINK_JAVA:-java}" -Xmx2g -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=400m -Duser.timezone=UTC \
      --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED \
      -Dorg.slf4j.simpleLogger.defaultLogLevel=error -Dlog4j2.level=error -cp "$lib/*:$classes" Golden "$@"
    ;;
  *)
    sed -n 2,4p "$0"
    exit 2
    ;;
esac
