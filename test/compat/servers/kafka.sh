#!/usr/bin/env bash
# kafka.sh setup | lib | tool CLASS ARGS… | format FOLDER | broker FOLDER | lib-older | older FILE ARGS…
# A real Kafka distribution (versions: kafka/pom.xml) from Maven Central, 56 MB once, kept in ${SERVERS_HOME:-~/.cache/millrace-servers}.
# `lib` says where it is, if it is. `format` and `broker` take a folder with a server.properties (kafka.ts writes one); `broker` runs until it is
# ended. KAFKA_HEAP and KAFKA_JAVA choose the heap and the Java. `older` runs a Java program from source with an older Java client (kafka/older-clients.xml).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/kafka
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
lib=${SERVERS_HOME:-$HOME/.cache/millrace-servers}/kafka-$version
java=${KAFKA_JAVA:-java}
# What was downloaded is whole for this list of artifacts.
complete=$lib/complete-$(cksum <"$here/pom.xml" | cut -d' ' -f1)
older=${SERVERS_HOME:-$HOME/.cache/millrace-servers}/kafka-clients-$(sed -n 's:.*<clients.version>\(.*\)</clients.version>.*:\1:p' "$here/older-clients.xml")
older_complete=$older/complete-$(cksum <"$here/older-clients.xml" | cut -d' ' -f1)
# fetch POM FOLDER MARK: what the POM lists, once.
fetch() {
  [ -f "$3" ] && return 0
  mvn -B -q -f "$1" dependency:copy-dependencies -DoutputDirectory="$2" -DincludeScope=runtime
  touch "$3"
}
log=(-Dkafka.log.level="${LVL:-WARN}" "-Dlog4j2.configurationFile=$here/log4j2.yaml" -cp "$lib/*")
case "${1:-}" in
  setup)
    fetch "$here/pom.xml" "$lib" "$complete"
    fetch "$here/older-clients.xml" "$older" "$older_complete"
    ;;
  lib) [ -f "$complete" ] && echo "$lib" ;;
  lib-older) [ -f "$older_complete" ] && echo "$older" ;;
  older)
    shift
    exec "$java" -Xmx256m -XX:TieredStopAtLevel=1 -cp "$older/*" "$@"
    ;;
  tool)
    shift
    exec "$java" -Xmx512m -XX:TieredStopAtLevel="${TIER:-1}" "${log[@]}" "$@"
    ;;
  format)
    id=$(LVL=ERROR "$0" tool kafka.tools.StorageTool random-uuid)
    LVL=ERROR exec "$0" tool kafka.tools.StorageTool format -t "$id" -c "$2/server.properties"
    ;;
  broker)
    # shellcheck disable=SC2086
    LVL=INFO exec "$java" ${KAFKA_HEAP:--Xms512m -Xmx1g} -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true -Dkafka.log.level=INFO \
      "-Dlog4j2.configurationFile=$here/log4j2.yaml" -cp "$lib/*" kafka.Kafka "$2/server.properties"
    ;;
  *)
    sed -n 2,5p "$0"
    exit 2
    ;;
esac
