// What an application does with the Java client, run from source by `kafka.sh older` with one of Kafka 3: topics, every codec and acks, a group, transactions.
//
//   OlderClient.java BOOTSTRAP
//
// Ends with an exception where an answer is not the expected one; prints one line for each part.
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.AppInfoParser;

public class OlderClient {
  static final int RECORDS = 100;
  static String bootstrap;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    System.out.println("client " + AppInfoParser.getVersion());
    try (Admin admin = Admin.create(with(Map.of()))) {
      admin.createTopics(List.of(new NewTopic("rides", 2, (short) 1), new NewTopic("bills", 1, (short) 1))).all().get();
      same(2, admin.describeTopics(List.of("rides")).allTopicNames().get().get("rides").partitions().size(), "partitions");
      int sent = produce();
      group(sent);
      transactions();
      Map<TopicPartition, OffsetAndMetadata> offsets = admin.listConsumerGroupOffsets("billing").partitionsToOffsetAndMetadata().get();
      same((long) sent, offsets.values().stream().mapToLong(OffsetAndMetadata::offset).sum(), "offsets of the group");
      admin.deleteTopics(List.of("rides", "bills")).all().get();
    }
  }

  static int produce() throws Exception {
    int sent = 0;
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
      for (String acks : List.of("0", "1", "all")) {
        Map<String, Object> settings = with(Map.of("compression.type", codec, "acks", acks, "enable.idempotence", acks.equals("all"), "linger.ms", 20));
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
          for (int i = 0; i < RECORDS; i++, sent++) {
            ProducerRecord<String, String> record = new ProducerRecord<>("rides", "bike " + i % 7, (codec + acks).repeat(20) + i);
            record.headers().add("codec", codec.getBytes(StandardCharsets.UTF_8)).add("none", null);
            producer.send(record, (metadata, error) -> { if (error != null) throw new RuntimeException(error); });
          }
        }
      }
    System.out.println("sent " + sent);
    return sent;
  }

  /** All records once; what was committed is not given out again. */
  static void group(int sent) {
    Set<String> values = new HashSet<>();
    try (KafkaConsumer<String, String> consumer = consumer("billing", "read_committed")) {
      consumer.subscribe(List.of("rides"));
      List<ConsumerRecord<String, String>> records = poll(consumer, sent);
      for (ConsumerRecord<String, String> record : records) {
        values.add(record.value());
        String codec = new String(record.headers().lastHeader("codec").value(), StandardCharsets.UTF_8);
        if (!record.value().startsWith(codec) || record.headers().lastHeader("none").value() != null) throw new IllegalStateException("headers of " + record);
      }
      same(sent, records.size(), "records");
      consumer.commitSync();
    }
    same(sent, values.size(), "values");
    try (KafkaConsumer<String, String> consumer = consumer("billing", "read_committed")) {
      consumer.subscribe(List.of("rides"));
      same(0, poll(consumer, 1).size(), "records after the commit");
    }
    System.out.println("read " + values.size());
  }

  static void transactions() {
    Map<String, Object> settings = with(Map.of("transactional.id", "bills-1"));
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        KafkaConsumer<String, String> consumer = consumer("bills", "read_committed")) {
      producer.initTransactions();
      TopicPartition partition = new TopicPartition("rides", 0);
      for (boolean commits : new boolean[] {true, false, true}) {
        producer.beginTransaction();
        for (int i = 0; i < RECORDS; i++) producer.send(new ProducerRecord<>("bills", commits ? "paid" : "void"));
        producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(commits ? 7 : 9)), consumer.groupMetadata());
        producer.flush();
        if (commits) producer.commitTransaction();
        else producer.abortTransaction();
      }
      same(7L, consumer.committed(Set.of(partition)).get(partition).offset(), "offset of the committed transaction");
    }
    for (String isolation : List.of("read_committed", "read_uncommitted"))
      try (KafkaConsumer<String, String> consumer = consumer("reader", isolation)) {
        consumer.assign(List.of(new TopicPartition("bills", 0)));
        consumer.seekToBeginning(consumer.assignment());
        int expected = isolation.equals("read_committed") ? 2 * RECORDS : 3 * RECORDS;
        same(expected, poll(consumer, expected + 1).size(), isolation);
      }
    System.out.println("transactions");
  }

  static Map<String, Object> with(Map<String, Object> more) {
    Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
    settings.putAll(more);
    return settings;
  }

  static KafkaConsumer<String, String> consumer(String group, String isolation) {
    String assignor = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    Map<String, Object> settings = with(Map.of("group.id", group, "isolation.level", isolation, "auto.offset.reset", "earliest", "enable.auto.commit", false, "partition.assignment.strategy", assignor));
    return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
  }

  /** Until so many have come, or nothing has for a second after partitions were assigned. */
  static List<ConsumerRecord<String, String>> poll(KafkaConsumer<String, String> consumer, int count) {
    List<ConsumerRecord<String, String>> records = new ArrayList<>();
    long deadlineMs = System.currentTimeMillis() + 30_000;
    while (records.size() < count && System.currentTimeMillis() < deadlineMs) {
      int before = records.size();
      consumer.poll(Duration.ofSeconds(1)).forEach(records::add);
      if (records.size() == before && !consumer.assignment().isEmpty() && consumer.assignment().stream().allMatch(p -> consumer.position(p) >= consumer.endOffsets(Set.of(p)).get(p))) break;
    }
    return records;
  }

  static void same(Object expected, Object actual, String what) {
    if (!expected.equals(actual)) throw new IllegalStateException(what + ": " + actual + ", expected " + expected);
  }
}
