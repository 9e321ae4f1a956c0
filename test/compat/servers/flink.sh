#!/usr/bin/env bash
# flink.sh setup | has | lib | run FOLDER REST_PORT RPC_PORT GATEWAY_PORT
# Flink with its Kafka connector (versions: flink/pom.xml): 312 MB from PyPI and 35 MB from Maven Central, once, kept in
# ${SERVERS_HOME:-~/.cache/millrace-servers}. `run` is a JobManager, a TaskManager and a SQL Gateway on loopback until it is ended.
# With FLINK_SETTING=benchmark: both slots for one job, 2 GB of heap, all of Java's compilers, no checkpoint within ten minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/flink
version=$(sed -n 's:.*<flink.version>\(.*\)</flink.version>.*:\1:p' "$here/pom.xml")
home=${SERVERS_HOME:-$HOME/.cache/millrace-servers}/flink-$version
java=${FLINK_JAVA:-java}
case "${1:-}" in
  setup)
    [ -f "$home/complete" ] && exit 0
    mkdir -p "$home/wheel" "$home/lib" "$home/opt"
    pip download --quiet --disable-pip-version-check --no-deps -d "$home/wheel" "apache-flink-libraries==$version"
    mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home/maven" -DexcludeTransitive=true
    python3 - "$home" <<'PYTHON'
import pathlib, sys, zipfile
home = pathlib.Path(sys.argv[1])
[wheel] = (home / "wheel").glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith("pyflink/lib/") and name.endswith(".jar"):
            (home / "lib" / name.rsplit("/", 1)[1]).write_bytes(archive.read(name))
PYTHON
    cp "$home"/maven/flink-sql-connector-kafka*.jar "$home/lib/"
    cp "$home"/maven/flink-sql-gateway*.jar "$home/opt/"
    rm -r "$home/wheel" "$home/maven"
    touch "$home/complete"
    ;;
  has) [ -f "$home/complete" ] ;;
  lib) echo "$home/lib" ;;
  run)
    folder=$2
    parallelism=1 checkpoint_interval=1s task_heap=384m managed=64m task_xmx=512m jvm=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1)
    if [ "${FLINK_SETTING:-}" = benchmark ]; then
      parallelism=2 checkpoint_interval=10min task_heap=1920m managed=128m task_xmx=2048m jvm=(-XX:+UseG1GC)
    fi
    mkdir -p "$folder/conf" "$folder/tmp"
    cat >"$folder/conf/config.yaml" <<YAML
jobmanager: {rpc: {address: 127.0.0.1, port: $4}, bind-host: 127.0.0.1, memory: {process: {size: 1024m}}}
rest: {address: 127.0.0.1, bind-address: 127.0.0.1, port: $3, bind-port: $3}
taskmanager:
  host: 127.0.0.1
  bind-host: 127.0.0.1
  numberOfTaskSlots: 2
  cpu: {cores: 2.0}
  memory:
    framework: {heap: {size: 128m}, off-heap: {size: 128m}}
    task: {heap: {size: $task_heap}, off-heap: {size: 0m}}
    managed: {size: $managed}
    network: {min: 64m, max: 64m}
    jvm-metaspace: {size: 256m}
    jvm-overhead: {min: 128m, max: 128m}
parallelism: {default: $parallelism}
io: {tmp: {dirs: $folder/tmp}}
execution: {checkpointing: {interval: $checkpoint_interval, dir: "file://$folder/checkpoints"}}
restart-strategy: {type: fixed-delay, fixed-delay: {attempts: 1000, delay: 1s}}
sql-gateway: {endpoint: {rest: {address: 127.0.0.1, bind-address: 127.0.0.1, port: $5, bind-port: $5}}}
classloader: {check-leaked-classloader: false}
table: {local-time-zone: UTC}
YAML
    opens=()
    for package in lang net io nio lang.reflect text time util util.concurrent util.concurrent.atomic util.concurrent.locks; do
      opens+=("--add-opens=java.base/java.$package=ALL-UNNAMED")
    done
    opens+=(--add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.api=ALL-UNNAMED)
    export FLINK_CONF_DIR=$folder/conf FLINK_LIB_DIR=$home/lib FLINK_OPT_DIR=$home/opt FLINK_PLUGINS_DIR=$folder/plugins
    mkdir -p "$folder/plugins"
    pids=()
    trap 'kill "${pids[@]}" 2>/dev/null; wait' EXIT
    trap 'exit 0' TERM INT
    go() { # name heap classpath main args…
      local name=$1 heap=$2 classpath=$3
      shift 3
      "$java" "-Xmx$heap" "${jvm[@]}" -Duser.timezone=UTC "${opens[@]}" "-Dlog4j2.configurationFile=file:$here/log4j2.properties" \
        -cp "$classpath" "$@" >"$folder/$name.log" 2>&1 &
      pids+=($!)
    }
    go job 512m "$home/lib/*" org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir "$folder/conf" --executionMode cluster
    go task "$task_xmx" "$home/lib/*" org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir "$folder/conf"
    go gateway 512m "$home/lib/*:$home/opt/*" org.apache.flink.table.gateway.SqlGateway
    wait
    ;;
  *)
    sed -n 2,4p "$0"
    exit 2
    ;;
esac
