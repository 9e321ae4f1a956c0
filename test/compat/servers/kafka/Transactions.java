// Transactions with the Java client, run from source by kafka.sh tool: what a test needs and none of Kafka's tools does.
//
//   Transactions.java BOOTSTRAP copy IN OUT GROUP ID COUNT   reads committed records of IN, writes them with "!" to OUT, offsets in the transaction;
//                                                            every third transaction is aborted and done again; ends after COUNT records
//   Transactions.java BOOTSTRAP load TOPIC ID COUNT          COUNT transactions of 10 records over two partitions; every fourth is aborted
//   Transactions.java BOOTSTRAP open TOPIC ID                one record in a transaction that is left open
//
// Prints one line for each transaction: its number and what became of it.
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Transactions {
  static final int RECORDS = 10;

  public static void main(String[] args) throws Exception {
    switch (args[1]) {
      case "copy" -> copy(args[0], args[2], args[3], args[4], args[5], Integer.parseInt(args[6]));
      case "load" -> load(args[0], args[2], args[3], Integer.parseInt(args[4]));
      case "open" -> open(args[0], args[2], args[3]);
      default -> throw new IllegalArgumentException(args[1]);
    }
  }

  static KafkaProducer<String, String> producer(String bootstrap, String id) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("transactional.id", id);
    settings.put("linger.ms", "2");
    settings.put("max.block.ms", "20000");
    settings.put("request.timeout.ms", "5000");
    settings.put("delivery.timeout.ms", "20000");
    KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    retry(producer::initTransactions);
    return producer;
  }

  /** What timed out was perhaps done: the client allows the same call again, and only that. */
  static void retry(Runnable call) {
    for (int attempt = 0; ; attempt++) {
      try {
        call.run();
        return;
      } catch (TimeoutException e) {
        if (attempt == 10) throw e;
      }
    }
  }

  static void copy(String bootstrap, String in, String out, String group, String id, int count) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("group.id", group);
    settings.put("isolation.level", "read_committed");
    settings.put("enable.auto.commit", "false");
    settings.put("auto.offset.reset", "earliest");
    settings.put("max.poll.records", "7");
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        KafkaProducer<String, String> producer = producer(bootstrap, id)) {
      consumer.subscribe(List.of(in));
      int number = 0;
      for (int copied = 0; copied < count; ) {
        var polled = consumer.poll(Duration.ofMillis(200));
        if (polled.isEmpty()) continue;
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        Map<TopicPartition, Long> starts = new HashMap<>();
        producer.beginTransaction();
        for (ConsumerRecord<String, String> record : polled) {
          TopicPartition from = new TopicPartition(record.topic(), record.partition());
          starts.putIfAbsent(from, record.offset());
          offsets.put(from, new OffsetAndMetadata(record.offset() + 1));
          producer.send(new ProducerRecord<>(out, record.value() + "!"));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        if (++number % 3 == 0) {
          producer.abortTransaction();
          starts.forEach(consumer::seek);
          System.out.println("aborted " + number);
        } else {
          producer.commitTransaction();
          copied += polled.count();
          System.out.println("committed " + number);
        }
      }
    }
  }

  static void load(String bootstrap, String topic, String id, int count) throws Exception {
    KafkaProducer<String, String> producer = producer(bootstrap, id);
    for (int number = 0; number < count; number++) {
      boolean isAborted = number % 4 == 3;
      try {
        producer.beginTransaction();
        for (int i = 0; i < RECORDS; i++) producer.send(new ProducerRecord<>(topic, i % 2, null, number + "-" + i));
        producer.flush();
        if (isAborted) retry(producer::abortTransaction);
        else retry(producer::commitTransaction);
      } catch (KafkaException e) {
        // Of what was sent something is lost, or the transaction timed out while the broker was away.
        isAborted = true;
        try {
          retry(producer::abortTransaction);
        } catch (KafkaException fatal) {
          producer.close(Duration.ZERO);
          producer = producer(bootstrap, id);
        }
      }
      System.out.println((isAborted ? "aborted " : "committed ") + number);
      System.out.flush();
    }
    producer.close();
  }

  static void open(String bootstrap, String topic, String id) {
    KafkaProducer<String, String> producer = producer(bootstrap, id);
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, 0, null, "left open"));
    producer.flush();
    System.out.println("open");
    Runtime.getRuntime().halt(0);
  }
}
