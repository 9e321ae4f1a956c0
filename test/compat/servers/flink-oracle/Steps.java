// The connector 'steps': the input of a golden file as a bounded source. After each row its partition has the watermark of that row; the lines
// "@partition N", "@watermark TIME" and "@idle" are as docs/golden-files.md says.

import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.util.ListCollector;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.ProviderContext;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DataStreamScanProvider;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.abilities.SupportsWatermarkPushDown;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.SimpleUserCodeClassLoader;
import org.apache.flink.util.UserCodeClassLoader;
import org.apache.flink.util.clock.RelativeClock;
import org.apache.flink.util.clock.SystemClock;

public class Steps implements DynamicTableSourceFactory {
  private static final ConfigOption<String> PATH = ConfigOptions.key("path").stringType().noDefaultValue();
  private static final ConfigOption<Boolean> UPSERT = ConfigOptions.key("upsert").booleanType().defaultValue(false);

  public String factoryIdentifier() {
    return "steps";
  }

  public Set<ConfigOption<?>> requiredOptions() {
    return Set.of(PATH, FactoryUtil.FORMAT);
  }

  public Set<ConfigOption<?>> optionalOptions() {
    return Set.of(UPSERT);
  }

  public DynamicTableSource createDynamicTableSource(Context context) {
    FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
    var format = helper.discoverDecodingFormat(DeserializationFormatFactory.class, FactoryUtil.FORMAT);
    helper.validate();
    boolean isUpsert = helper.getOptions().get(UPSERT);
    return new Table(helper.getOptions().get(PATH), isUpsert, format, context.getPhysicalRowDataType());
  }

  private static class Table implements ScanTableSource, SupportsWatermarkPushDown {
    private final String path;
    private final boolean isUpsert;
    private final DecodingFormat<DeserializationSchema<RowData>> format;
    private final DataType type;
    private WatermarkStrategy<RowData> watermarks = WatermarkStrategy.noWatermarks();

    Table(String path, boolean isUpsert, DecodingFormat<DeserializationSchema<RowData>> format, DataType type) {
      this.path = path;
      this.isUpsert = isUpsert;
      this.format = format;
      this.type = type;
    }

    public ChangelogMode getChangelogMode() {
      return isUpsert ? ChangelogMode.upsert() : format.getChangelogMode();
    }

    public void applyWatermark(WatermarkStrategy<RowData> strategy) {
      watermarks = strategy;
    }

    public DynamicTableSource copy() {
      Table copy = new Table(path, isUpsert, format, type);
      copy.watermarks = watermarks;
      return copy;
    }

    public String asSummaryString() {
      return "steps";
    }

    public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
      DeserializationSchema<RowData> decoder = format.createRuntimeDecoder(context, type);
      return new DataStreamScanProvider() {
        public boolean isBounded() {
          return true;
        }

        public DataStream<RowData> produceDataStream(ProviderContext provider, StreamExecutionEnvironment environment) {
          StepSource source = new StepSource(path, isUpsert, decoder, watermarks);
          return environment.fromSource(source, WatermarkStrategy.noWatermarks(), "steps", decoder.getProducedType());
        }
      };
    }
  }

  /** The one split; its partitions are outputs of its reader. */
  private record All() implements SourceSplit, Serializable {
    public String splitId() {
      return "0";
    }
  }

  private record StepSource(
      String path, boolean isUpsert, DeserializationSchema<RowData> decoder, WatermarkStrategy<RowData> watermarks)
      implements Source<RowData, All, Integer> {
    public Boundedness getBoundedness() {
      return Boundedness.BOUNDED;
    }

    public SourceReader<RowData, All> createReader(SourceReaderContext context) {
      return new Reader(this);
    }

    public SplitEnumerator<All, Integer> createEnumerator(SplitEnumeratorContext<All> context) {
      return new SplitEnumerator<>() {
        public void addReader(int subtask) {
          if (subtask == 0) context.assignSplit(new All(), subtask);
          context.signalNoMoreSplits(subtask);
        }

        public Integer snapshotState(long checkpoint) {
          return 0;
        }

        public void start() {}

        public void handleSplitRequest(int subtask, String host) {}

        public void addSplitsBack(List<All> splits, int subtask) {}

        public void close() {}
      };
    }

    public SplitEnumerator<All, Integer> restoreEnumerator(SplitEnumeratorContext<All> context, Integer state) {
      return createEnumerator(context);
    }

    public SimpleVersionedSerializer<All> getSplitSerializer() {
      return new Only<>(new All());
    }

    public SimpleVersionedSerializer<Integer> getEnumeratorCheckpointSerializer() {
      return new Only<>(0);
    }
  }

  /** There is one value, so its bytes are none. */
  private record Only<T>(T value) implements SimpleVersionedSerializer<T> {
    public int getVersion() {
      return 1;
    }

    public byte[] serialize(T ignored) {
      return new byte[0];
    }

    public T deserialize(int version, byte[] bytes) {
      return value;
    }
  }

  private static class Reader implements SourceReader<RowData, All> {
    private final StepSource source;
    private final Map<String, WatermarkGenerator<RowData>> generators = new HashMap<>();
    private final CompletableFuture<Void> isAssigned = new CompletableFuture<>();
    private boolean isOwner;
    private List<String> lines;
    private int next;
    private String partition = "0";

    Reader(StepSource source) {
      this.source = source;
    }

    public void addSplits(List<All> splits) {
      isOwner = true;
      isAssigned.complete(null);
    }

    public void notifyNoMoreSplits() {
      isAssigned.complete(null);
    }

    public CompletableFuture<Void> isAvailable() {
      return isAssigned;
    }

    public InputStatus pollNext(ReaderOutput<RowData> output) throws Exception {
      if (!isOwner) return isAssigned.isDone() ? InputStatus.END_OF_INPUT : InputStatus.NOTHING_AVAILABLE;
      if (lines == null) open(output);
      while (next < lines.size()) {
        String line = lines.get(next++);
        SourceOutput<RowData> target = output.createOutputForSplit(partition);
        if (line.isBlank()) continue;
        else if (line.startsWith("@partition ")) partition = line.substring(11).trim();
        else if (line.equals("@idle")) target.markIdle();
        else if (line.startsWith("@watermark ")) target.emitWatermark(new Watermark(millisOf(line.substring(11))));
        else if (line.startsWith("@")) throw new IOException("Flink cannot do " + line);
        else {
          emit(line, target);
          return InputStatus.MORE_AVAILABLE;
        }
      }
      return InputStatus.END_OF_INPUT;
    }

    /** All partitions are there from the beginning: each holds the watermark back until it has one or is idle. */
    private void open(ReaderOutput<RowData> output) throws Exception {
      lines = Files.readAllLines(Path.of(source.path));
      source.decoder.open(new DecoderContext());
      output.createOutputForSplit(partition);
      for (String line : lines) if (line.startsWith("@partition ")) output.createOutputForSplit(line.substring(11).trim());
    }

    private void emit(String line, SourceOutput<RowData> target) throws IOException {
      List<RowData> rows = new ArrayList<>();
      source.decoder.deserialize(line.getBytes(StandardCharsets.UTF_8), new ListCollector<>(rows));
      var generator = generators.computeIfAbsent(partition, p -> source.watermarks.createWatermarkGenerator(new GeneratorContext()));
      for (RowData row : rows) {
        if (source.isUpsert) row.setRowKind(RowKind.UPDATE_AFTER);
        target.collect(row);
        generator.onEvent(row, Long.MIN_VALUE, target);
        generator.onPeriodicEmit(target);
      }
    }

    private static long millisOf(String text) {
      return LocalDateTime.parse(text.trim().replace(' ', 'T').replace("Z", "")).toInstant(ZoneOffset.UTC).toEpochMilli();
    }

    public void start() {}

    public List<All> snapshotState(long checkpoint) {
      return List.of();
    }

    public void close() {}
  }

  private static class DecoderContext implements DeserializationSchema.InitializationContext {
    public MetricGroup getMetricGroup() {
      return new UnregisteredMetricsGroup();
    }

    public UserCodeClassLoader getUserCodeClassLoader() {
      return SimpleUserCodeClassLoader.create(Steps.class.getClassLoader());
    }
  }

  private static class GeneratorContext implements WatermarkGeneratorSupplier.Context {
    public MetricGroup getMetricGroup() {
      return new UnregisteredMetricsGroup();
    }

    public RelativeClock getInputActivityClock() {
      return SystemClock.getInstance();
    }
  }
}
