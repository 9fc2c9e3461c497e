"""A journal in a store of `esker:kv`: each argument becomes an entry, and every entry is printed, the newest first.

Keys are numbers of eight bytes, the highest byte first, so that their order is the order of the entries.
"""

import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import kv_store
from wit_world.imports.types import (
    Condition,
    Durability,
    Expected_Absent,
    KeyRange,
    Operation,
    Options,
    ScanOptions,
)

EVERYTHING = KeyRange(None, None)


class Run(exports.Run):
    """The interface `wasi:cli/run`, which makes this component a command."""

    def run(self) -> None:
        store = kv_store.open("", Options(*[None] * 22))
        bucket = store.create_bucket("journal")
        for text in sys.argv[1:]:
            append(store, bucket, text)
        # A cursor sees the state of the moment it was made in, whatever is written meanwhile.
        cursor = store.scan(bucket, EVERYTHING, ScanOptions(reverse=True, keys_only=False, limit=None))
        while page := cursor.next(1_000, 65_536):
            for entry in page:
                print(f"{int.from_bytes(entry.key, 'big')}: {entry.value.decode()}")
        store.close()


def append(store: kv_store.Store, bucket: int, text: str) -> None:
    """Adds one entry behind the last; the condition would catch somebody who took its number."""
    last = store.scan(bucket, EVERYTHING, ScanOptions(reverse=True, keys_only=True, limit=1)).next(1, 1)
    number = int.from_bytes(last[0].key, "big") + 1 if last else 1
    key = number.to_bytes(8, "big")
    store.write_if(
        [Operation(bucket, key, text.encode())],
        [Condition(bucket, key, Expected_Absent())],
        Durability.SYNCED,
    )
