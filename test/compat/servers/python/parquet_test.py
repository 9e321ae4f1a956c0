"""pyarrow on Parquet files of the files sink: parquet_test.py FOLDER. Prints the schema and the rows as JSON."""
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

paths = sorted(path for path in pathlib.Path(sys.argv[1]).glob("*.parquet") if not path.name.startswith("."))
tables = [pq.read_table(path) for path in paths]
schema = {field.name: str(field.type) for field in tables[0].schema}
assert all({field.name: str(field.type) for field in table.schema} == schema for table in tables)


def whole(table):
    """Python's datetime has no nanoseconds."""
    for at, field in enumerate(table.schema):
        if field.type == pa.timestamp("ns"):
            table = table.set_column(at, field.name, table.column(at).cast(pa.string()))
    return table


def shown(value):
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (int, float, bool, str)) or value is None:
        return value
    return str(value)


codecs = {pq.ParquetFile(path).metadata.row_group(0).column(0).compression for path in paths}
print(json.dumps({"files": len(paths), "codecs": sorted(codecs), "schema": schema, "rows": [shown(row) for table in tables for row in whole(table).to_pylist()]}))
