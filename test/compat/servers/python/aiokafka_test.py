"""aiokafka against a broker: aiokafka_test.py HOST:PORT. Prints what it did; an assertion that fails ends it."""
import asyncio
import collections
import logging
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError, ProducerFenced

bootstrap = sys.argv[1]
logging.disable(logging.CRITICAL)  # It tells of every rebalance, and of the zombie that is fenced below.
PARTITIONS = 12
kafka = {"bootstrap_servers": bootstrap}
reading = {**kafka, "auto_offset_reset": "earliest", "enable_auto_commit": False}


async def rebalances(topic):
    """Members come and go every second while a producer goes on: nothing is missed."""
    seen, sent, is_over = collections.Counter(), 0, False

    async def produce():
        nonlocal sent
        async with AIOKafkaProducer(**kafka, enable_idempotence=True, compression_type="lz4") as producer:
            while not is_over:
                for _ in range(60):
                    await producer.send(topic, b"%d" % sent, partition=sent % PARTITIONS)
                    sent += 1
                await asyncio.sleep(0.05)

    async def consume(seconds, instance=None):
        consumer = AIOKafkaConsumer(topic, **reading, group_id="aio", group_instance_id=instance, heartbeat_interval_ms=200, session_timeout_ms=6000)
        async with consumer:
            end = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < end:
                records = [record for some in (await consumer.getmany(timeout_ms=200)).values() for record in some]
                seen.update(int(record.value) for record in records)
                try:
                    if records:
                        await consumer.commit()
                except CommitFailedError:
                    pass  # Its partitions are another's by now, who reads them again.

    async def later(wait, seconds, instance):
        await asyncio.sleep(wait)
        await consume(seconds, instance)

    producing = asyncio.create_task(produce())
    await asyncio.gather(*[later(i * 0.6, 1.5 + i % 3, f"i{i}" if i % 4 == 0 else None) for i in range(6)])
    is_over = True
    await producing
    while len(seen) < sent:
        before = len(seen)
        await consume(7)
        assert len(seen) > before, f"{sent - len(seen)} of {sent} records were not read"
    print("six members came and went, records", sent)


async def transactions(topic):
    async with AIOKafkaProducer(**kafka, transactional_id="aio-tx") as first:
        for i in range(4):
            await first.begin_transaction()
            for n in range(50):
                await first.send(topic, b"%d-%d" % (i, n))
            await (first.commit_transaction() if i % 2 else first.abort_transaction())
        async with AIOKafkaProducer(**kafka, transactional_id="aio-tx"):
            try:
                async with first.transaction():
                    await first.send_and_wait(topic, b"zombie")
                raise AssertionError("a zombie was not fenced")
            except ProducerFenced:
                pass
        values = []
        async with AIOKafkaConsumer(topic, **reading, isolation_level="read_committed") as consumer:
            while len(values) < 100:
                values += [record.value for some in (await consumer.getmany(timeout_ms=10_000)).values() for record in some]
        assert values == [b"%d-%d" % (i, n) for i in (1, 3) for n in range(50)], values[:3]
    print("transactions: aborted ones are not read, a zombie is fenced")


async def main():
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    await admin.create_topics([NewTopic("aio-load", PARTITIONS, 1), NewTopic("aio-tx", 1, 1)])
    await rebalances("aio-load")
    await transactions("aio-tx")
    await admin.delete_topics(["aio-load", "aio-tx"])
    await admin.close()


asyncio.run(main())
