"""kafka-python against a broker: kafka_python_test.py HOST:PORT. Prints what it did; an assertion that fails ends it."""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

bootstrap = sys.argv[1]
TOPIC, GROUP = "kp-orders", "kp-readers"

admin = KafkaAdminClient(bootstrap_servers=bootstrap)
admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1, topic_configs={"retention.ms": "3600000"})])
assert TOPIC in admin.list_topics()
print("created", TOPIC)

sent = {}
for codec in (None, "gzip"):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type=codec, linger_ms=5)
    futures = []
    for i in range(500):
        key, value = b"k%d" % (i % 7), b"%s-%d" % ((codec or "none").encode(), i)
        headers = [("trace", b"t%d" % i)]
        futures.append((key, value, producer.send(TOPIC, key=key, value=value, headers=headers, timestamp_ms=1_700_000_000_000 + i)))
    producer.flush()
    for key, value, future in futures:
        meta = future.get(timeout=10)
        assert (meta.partition, meta.offset) not in sent
        sent[meta.partition, meta.offset] = (key, value)
    producer.close()
print("produced", len(sent))


def read(count, **options):
    consumer = KafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=15_000,
        **options,
    )
    records = []
    for record in consumer:
        records.append(record)
        if len(records) == count:
            break
    consumer.commit()
    consumer.close()
    return records


records = read(600)
records += read(400)
assert {(r.partition, r.offset): (r.key, r.value) for r in records} == sent, "records differ"
assert len(records) == len(sent), "a record came twice"
assert all(r.headers[0][0] == "trace" for r in records)
assert all(r.timestamp >= 1_700_000_000_000 for r in records)
print("read in a group, in two sittings", len(records))

consumer = KafkaConsumer(bootstrap_servers=bootstrap)
parts = [TopicPartition(TOPIC, p) for p in (0, 1)]
ends = consumer.end_offsets(parts)
assert sum(ends.values()) == 1000, ends
at = consumer.offsets_for_times({parts[0]: 1_700_000_000_000})[parts[0]]
assert at.offset == 0, at
consumer.close()
print("offsets by time and end")

committed = admin.list_group_offsets(GROUP) if hasattr(admin, "list_group_offsets") else admin.list_consumer_group_offsets(GROUP)
if GROUP in committed:
    committed = committed[GROUP]
assert sum(o.offset for o in committed.values()) == 1000, committed
configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)])
assert "3600000" in str(configs), configs
admin.create_partitions({TOPIC: NewPartitions(3)})
admin.delete_records({parts[0]: 5})
consumer = KafkaConsumer(bootstrap_servers=bootstrap)
assert consumer.beginning_offsets(parts[:1])[parts[0]] == 5
assert consumer.partitions_for_topic(TOPIC) == {0, 1, 2}
consumer.close()
print("group offsets, configs, partitions, deleted records")
admin.delete_topics([TOPIC])
assert TOPIC not in admin.list_topics()
admin.close()
print("deleted", TOPIC)
