"""confluent-kafka-python (librdkafka) against a broker: confluent_test.py HOST:PORT. Prints what it did; an assertion that fails ends it."""
import sys

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicCollection, TopicPartition, libversion
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

bootstrap = sys.argv[1]
TOPIC = "cf-orders"
print("librdkafka", libversion()[0])

admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(TOPIC, num_partitions=3, config={"max.message.bytes": "2000000"})])[TOPIC].result(10)
try:
    admin.create_topics([NewTopic(TOPIC, num_partitions=3)])[TOPIC].result(10)
    raise AssertionError("created twice")
except KafkaException as error:
    assert error.args[0].name() == "TOPIC_ALREADY_EXISTS", error
print("created", TOPIC)

sent, errors = {}, []


def delivered(error, message):
    if error:
        errors.append(error)
    else:
        sent[message.partition(), message.offset()] = (message.key(), message.value())


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": codec, "linger.ms": 5, "sticky.partitioning.linger.ms": 0}
    )
    for i in range(400):
        producer.produce(TOPIC, key=b"k%d" % i, value=b"%s-%d" % (codec.encode(), i) * 5, headers=[("c", codec)], on_delivery=delivered)
    assert producer.flush(20) == 0
assert not errors, errors
assert len(sent) == 2000
print("produced, idempotent, with every compression", len(sent))


def read(group, count, subscription=TOPIC, **options):
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **options}
    )
    consumer.subscribe([subscription])
    records, idle = [], 0
    while len(records) < count and idle < 150:
        batch = consumer.consume(min(100, count - len(records)), 0.1)
        idle = 0 if batch else idle + 1
        for record in batch:
            assert not record.error(), record.error()
            records.append(record)
    consumer.commit(offsets=[TopicPartition(TOPIC, p, max(r.offset() for r in records if r.partition() == p) + 1)
                             for p in {r.partition() for r in records}], asynchronous=False)
    consumer.close()
    return records


for group, options in (
    ("cf-eager", {"partition.assignment.strategy": "range"}),
    ("cf-cooperative", {"partition.assignment.strategy": "cooperative-sticky", "group.instance.id": "one"}),
    ("cf-next", {"group.protocol": "consumer"}),
    # With this protocol the broker matches the expression, which is RE2's.
    ("cf-pattern", {"group.protocol": "consumer", "subscription": "^(cf-ord.*|pay.*|click-.*|a+b+)"}),
):
    records = read(group, 700, **options) + read(group, 1300, **options)
    found = {(r.partition(), r.offset()): (r.key(), r.value()) for r in records}
    assert len(records) == 2000 and found == sent, f"{group}: {len(records)} records"
    assert {dict(r.headers())["c"] for r in records} == {b"none", b"gzip", b"snappy", b"lz4", b"zstd"}
    print("read by", group, "in two sittings")

described = admin.describe_consumer_groups(["cf-eager"])["cf-eager"].result(10)
assert described.group_id == "cf-eager" and not described.members, described
groups = {g.group_id for g in admin.list_consumer_groups().result(10).valid}
assert {"cf-eager", "cf-cooperative", "cf-next"} <= groups, groups
offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("cf-eager")])["cf-eager"].result(10)
assert sum(p.offset for p in offsets.topic_partitions) == 2000
admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions("cf-eager", [TopicPartition(TOPIC, 0, 1)])])["cf-eager"].result(10)
offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("cf-eager", [TopicPartition(TOPIC, 0)])])["cf-eager"].result(10)
assert offsets.topic_partitions[0].offset == 1
admin.delete_consumer_groups(["cf-eager"])["cf-eager"].result(10)
print("groups: listed, described, reset, deleted")

latest = admin.list_offsets({TopicPartition(TOPIC, 0): OffsetSpec.latest()})[TopicPartition(TOPIC, 0)].result(10)
assert latest.offset == len([1 for p, _ in sent if p == 0]), latest
resource = ConfigResource(ResourceType.TOPIC, TOPIC)
assert admin.describe_configs([resource])[resource].result(10)["max.message.bytes"].value == "2000000"
change = ConfigResource(ResourceType.TOPIC, TOPIC)
change.add_incremental_config(ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET))
admin.incremental_alter_configs([change])[change].result(10)
assert admin.describe_configs([resource])[resource].result(10)["retention.ms"].value == "7200000"
admin.create_partitions([NewPartitions(TOPIC, 4)])[TOPIC].result(10)
admin.delete_records([TopicPartition(TOPIC, 0, 3)])[TopicPartition(TOPIC, 0)].result(10)
cluster = admin.describe_cluster().result(10)
assert len(cluster.nodes) == 1
assert len(admin.describe_topics(TopicCollection([TOPIC]))[TOPIC].result(10).partitions) == 4
print("offsets, configs, partitions, deleted records, cluster")
admin.delete_topics([TOPIC])[TOPIC].result(10)
print("deleted", TOPIC)
