// Runs golden files on Apache Flink, all in one MiniCluster: `run.sh run [--check] [--timeout=SECONDS] FILE…`.
//
//   file --> tables over its inputs (Steps.java) --> query --> changelog, applied to a multiset --> section "--- expect"
//
// A file in a folder "errors" has to fail; its section is "--- expect error" with the first line of Flink's message, which --check does not compare.

import java.io.IOException;
import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.PipelineExecutor;
import org.apache.flink.core.execution.PipelineExecutorFactory;
import org.apache.flink.core.execution.PipelineExecutorServiceLoader;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.runtime.minicluster.MiniClusterJobClient;
import org.apache.flink.runtime.minicluster.MiniClusterJobClient.JobFinalizationBehavior;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.ExplainDetail;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

public class Golden {
  private static final int SECONDS_MAX = 60;
  private static final Pattern SET = Pattern.compile("(?is)SET\\s+'([^']+)'\\s*=\\s*'([^']*)'");
  private static final Pattern TABLE = Pattern.compile("(?is)CREATE\\s+TABLE\\s+`?(\\w+)`?\\s*\\(.*");
  private static final Pattern OPTIONS = Pattern.compile("(?is)\\)\\s*WITH\\s*\\([^()]*\\)\\s*$");
  private static final Pattern QUERY = Pattern.compile("(?is)(SELECT|WITH|VALUES|\\()\\b.*");
  private static final Pattern FORMAT = Pattern.compile("-- format (\\S+)");
  private static final Pattern MODES = Pattern.compile("changelogMode=\\[([A-Z,]+)\\]");

  public static void main(String[] args) throws Exception {
    boolean isCheck = List.of(args).contains("--check");
    int secondsMax = SECONDS_MAX;
    int passed = 0;
    int failed = 0;
    try (MiniCluster cluster = startCluster()) {
      for (String arg : args) {
        if (arg.startsWith("--timeout=")) secondsMax = Integer.parseInt(arg.substring(10));
        if (arg.startsWith("--")) continue;
        Path path = Path.of(arg);
        String text = Files.readString(path);
        String body = text.split("(?m)^--- expect", 2)[0];
        boolean wantsError = path.toAbsolutePath().toString().contains("/errors/");
        Outcome outcome = runWithin(secondsMax, body, cluster);
        String problem = null;
        if (outcome == null) problem = "FAILED " + arg + ": TIMEOUT after " + secondsMax + " s";
        else if (outcome.isError && !wantsError) problem = "FAILED " + arg + ": " + outcome.text;
        else if (!outcome.isError && wantsError) problem = "DID NOT FAIL " + arg + "\n" + outcome.text;
        else if (isCheck && !wantsError && !text.equals(body + outcome.section())) problem = "DIFFERS " + arg + "\n" + outcome.text;
        else if (!isCheck) Files.writeString(path, body + outcome.section());
        if (problem == null) passed++;
        else {
          failed++;
          System.out.println(problem.stripTrailing());
        }
      }
    }
    System.out.println(passed + " passed, " + failed + " failed");
    System.exit(failed == 0 ? 0 : 1);
  }

  private record Outcome(String text, boolean isError) {
    String section() {
      return (isError ? "--- expect error\n" : "--- expect\n") + text;
    }
  }

  /** Null if it takes too long; the job goes on until the process ends. */
  private static Outcome runWithin(int secondsMax, String body, MiniCluster cluster) throws Exception {
    CompletableFuture<Outcome> outcome = new CompletableFuture<>();
    Thread thread = new Thread(() -> {
      try {
        outcome.complete(new Outcome(run(body, cluster), false));
      } catch (Throwable error) {
        outcome.complete(new Outcome(messageOf(error) + "\n", true));
      }
    });
    thread.setDaemon(true);
    thread.start();
    try {
      return outcome.get(secondsMax, TimeUnit.SECONDS);
    } catch (TimeoutException error) {
      return null;
    }
  }

  private static String run(String body, MiniCluster cluster) throws Exception {
    Map<String, String> sections = sectionsOf(body);
    String sql = sections.get("sql");
    if (sql == null) throw new IllegalArgumentException("no section 'sql'");
    Configuration settings = Configuration.fromMap(Map.of(
        "execution.runtime-mode", "streaming",
        "execution.target", "golden",
        "parallelism.default", "1",
        "pipeline.auto-watermark-interval", "0",
        "table.local-time-zone", "UTC",
        "table.exec.source.idle-timeout", "0"));
    var environment = new StreamExecutionEnvironment(loaderOf(cluster), settings, Golden.class.getClassLoader());
    var tables = StreamTableEnvironment.create(
        environment, EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
    Matcher named = FORMAT.matcher(body);
    String format = named.find() ? named.group(1) : "json";
    Path folder = Files.createTempDirectory("golden");
    try {
      String query = null;
      for (String part : sql.split(";\\s*(\n|$)")) {
        String statement = part.trim();
        if (statement.isEmpty()) continue;
        Matcher set = SET.matcher(statement);
        if (set.matches()) tables.getConfig().set(set.group(1), set.group(2));
        else if (QUERY.matcher(statement).matches()) query = statement;
        else tables.executeSql(withInput(statement, sections, format, folder));
      }
      return resultOf(tables, query, sql);
    } finally {
      try (Stream<Path> files = Files.list(folder)) {
        for (Path file : files.toList()) Files.delete(file);
      }
      Files.delete(folder);
    }
  }

  private static Map<String, String> sectionsOf(String text) {
    Map<String, String> sections = new HashMap<>();
    String name = "head";
    for (String line : text.split("\n", -1)) {
      if (line.startsWith("--- ")) name = line.substring(4).trim();
      else sections.merge(name, line + "\n", String::concat);
    }
    return sections;
  }

  /** A table without options, or of the connector upsert-kafka, reads the input of its name. */
  private static String withInput(String statement, Map<String, String> sections, String format, Path folder) throws IOException {
    Matcher table = TABLE.matcher(statement);
    boolean isUpsert = statement.contains("'upsert-kafka'");
    if (!table.matches() || (!isUpsert && OPTIONS.matcher(statement).find())) return statement;
    String input = sections.get("input " + table.group(1));
    if (input == null) throw new IllegalArgumentException("no section 'input " + table.group(1) + "'");
    Path file = Files.writeString(folder.resolve(table.group(1)), input.replaceAll("(?m)^\\s*\n", ""));
    boolean isJson = format.equals("json");
    // A source that gives watermarks itself loses windows before 1970; Flink's own for files leaves them to the planner.
    boolean isPlain = isJson && !isUpsert && input.lines().noneMatch(line -> line.startsWith("@"));
    String connector = isPlain ? "'filesystem'" : "'steps', 'upsert' = '" + isUpsert + "'";
    String times = isJson ? ", 'json.timestamp-format.standard' = 'SQL'" : "";
    return OPTIONS.matcher(statement).replaceFirst(")")
        + " WITH ('connector' = %s, 'path' = '%s', 'format' = '%s'%s)".formatted(connector, file, format, times);
  }

  private static String resultOf(StreamTableEnvironment tables, String query, String sql) throws Exception {
    TableResult result = tables.executeSql(query);
    String columns = result.getResolvedSchema().getColumns().stream()
        .map(c -> c.getName() + " " + c.getDataType().getLogicalType().asSerializableString().replace("`", ""))
        .collect(Collectors.joining(", "));
    Map<String, Integer> counts = new TreeMap<>();
    try (CloseableIterator<Row> rows = result.collect()) {
      while (rows.hasNext()) {
        Row row = rows.next();
        boolean isThere = row.getKind() == RowKind.INSERT || row.getKind() == RowKind.UPDATE_AFTER;
        counts.merge(textOf(row), isThere ? 1 : -1, Integer::sum);
      }
    }
    // What the plan says, so that it does not depend on how two inputs were interleaved.
    Matcher modes = MODES.matcher(tables.explainSql(query, ExplainDetail.CHANGELOG_MODE));
    boolean isUpdating = modes.find() && !modes.group(1).equals("I");
    StringBuilder out = new StringBuilder("-- columns: " + columns + "\n-- changelog: " + (isUpdating ? "updating" : "append-only") + "\n");
    counts.forEach((row, count) -> out.append(count < 0 ? "NEGATIVE " + row + "\n" : (row + "\n").repeat(count)));
    return out.toString();
  }

  // ---------------------------------------------------------------- values

  private static String textOf(Object value) {
    if (value == null) return "null";
    if (value instanceof Double || value instanceof Float) {
      double number = ((Number) value).doubleValue();
      return Double.isFinite(number) ? value.toString() : quoted(value.toString());
    }
    if (value instanceof BigDecimal decimal) return quoted(decimal.toPlainString());
    if (value instanceof Boolean || value instanceof Number) return value.toString();
    if (value instanceof LocalDateTime time) return quoted(timestampOf(time));
    if (value instanceof Instant time) return quoted(timestampOf(LocalDateTime.ofInstant(time, ZoneOffset.UTC)) + "Z");
    if (value instanceof LocalTime time) return quoted(DateTimeFormatter.ISO_LOCAL_TIME.format(time));
    if (value instanceof byte[] bytes) return quoted("0x" + HexFormat.of().formatHex(bytes));
    if (value instanceof Row row) return listOf(IntStream.range(0, row.getArity()).mapToObj(row::getField));
    if (value instanceof List<?> list) return listOf(list.stream());
    if (value.getClass().isArray()) {
      return listOf(IntStream.range(0, Array.getLength(value)).mapToObj(i -> Array.get(value, i)));
    }
    if (value instanceof Map<?, ?> map) {
      Stream<String> entries = map.entrySet().stream().map(e -> keyOf(e.getKey()) + ": " + textOf(e.getValue()));
      return entries.sorted().collect(Collectors.joining(", ", "{", "}"));
    }
    return quoted(value.toString());
  }

  private static String listOf(Stream<?> values) {
    return values.map(Golden::textOf).collect(Collectors.joining(", ", "[", "]"));
  }

  /** A key is the text of its value, in quotes. */
  private static String keyOf(Object key) {
    String text = textOf(key);
    return text.startsWith("\"") ? text : quoted(text);
  }

  /** With 3, 6 or 9 digits of the second. */
  private static String timestampOf(LocalDateTime time) {
    int nanos = time.getNano();
    int digits = nanos % 1_000_000 == 0 ? 3 : nanos % 1_000 == 0 ? 6 : 9;
    return DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss." + "S".repeat(digits)).format(time);
  }

  private static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\t' -> out.append("\\t");
        case '\r' -> out.append("\\r");
        default -> out.append(c < 32 ? String.format("\\u%04x", (int) c) : String.valueOf(c));
      }
    }
    return out.append('"').toString();
  }

  private static String messageOf(Throwable error) {
    Throwable cause = error;
    while (cause.getCause() != null && cause.getCause() != cause) cause = cause.getCause();
    String message = String.valueOf(cause.getMessage());
    return cause.getClass().getSimpleName() + ": " + message.lines().filter(line -> !line.isBlank()).findFirst().orElse("");
  }

  // ---------------------------------------------------------------- cluster

  private static MiniCluster startCluster() throws Exception {
    Configuration settings = Configuration.fromMap(Map.of(
        "rest.port", "0",
        "rest.bind-port", "0",
        "web.submit.enable", "false",
        "taskmanager.memory.managed.size", "1g",
        "taskmanager.memory.network.min", "256m",
        "taskmanager.memory.network.max", "256m",
        "heartbeat.timeout", "3600000",
        "heartbeat.interval", "600000",
        "pekko.ask.timeout", "600 s",
        "execution.checkpointing.storage", "jobmanager"));
    var configuration = new MiniClusterConfiguration.Builder()
        .setConfiguration(settings).setNumTaskManagers(1).setNumSlotsPerTaskManager(8).build();
    MiniCluster cluster = new MiniCluster(configuration);
    cluster.start();
    return cluster;
  }

  /** Flink would start a cluster for each query. */
  private static PipelineExecutorServiceLoader loaderOf(MiniCluster cluster) {
    PipelineExecutor executor = (pipeline, settings, classes) -> {
      StreamGraph graph = (StreamGraph) pipeline;
      graph.serializeUserDefinedInstances();
      return cluster.submitJob(graph).thenApply(submitted -> {
        try {
          while (cluster.getJobStatus(submitted.getJobID()).get() == JobStatus.INITIALIZING) Thread.sleep(5);
        } catch (Exception error) {
          throw new IllegalStateException(error);
        }
        return (JobClient) new MiniClusterJobClient(submitted.getJobID(), cluster, classes, JobFinalizationBehavior.NOTHING);
      });
    };
    PipelineExecutorFactory factory = new PipelineExecutorFactory() {
      public String getName() {
        return "golden";
      }

      public boolean isCompatibleWith(Configuration settings) {
        return true;
      }

      public PipelineExecutor getExecutor(Configuration settings) {
        return executor;
      }
    };
    return new PipelineExecutorServiceLoader() {
      public PipelineExecutorFactory getExecutorFactory(Configuration settings) {
        return factory;
      }

      public Stream<String> getExecutorNames() {
        return Stream.of("golden");
      }
    };
  }
}
