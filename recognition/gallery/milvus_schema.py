"""The three collections of a gallery on Milvus, and how they are made."""

from typing import Any

from recognition.errors import InputError
from recognition.gallery.milvus_address import Address
from recognition.gallery.milvus_rows import TEXT

SAMPLES, ENROLMENTS, ABOUT = "samples", "enrolments", "about"
KEY = 64
STRONG = "Strong"  # a read sees everything that was written before it was asked for
INDEX = {
    "flat": ("FLAT", {}),
    "hnsw": ("HNSW", {"M": 32, "efConstruction": 400}),
    "ivf": ("IVF_FLAT", {"nlist": 1024}),
}
TEXTS = {
    SAMPLES: {"person": KEY, "source": TEXT, "digest": TEXT},
    ENROLMENTS: {"person": KEY, "name": TEXT, "metadata": TEXT, "enrolled": KEY, "gone": TEXT},
    ABOUT: {"value": TEXT},
}
FIELDS = {
    SAMPLES: {*TEXTS[SAMPLES], "vector"},
    ENROLMENTS: {*TEXTS[ENROLMENTS], "size", "none"},
    ABOUT: {*TEXTS[ABOUT], "none"},
}


def named(address: Address, kind: str) -> str:
    """The name of a collection of a gallery."""
    return f"{address.name}_{kind}"


def clear(client: Any, address: Address, kind: str) -> None:
    """Drop what a gallery that was never finished left, which holds nobody."""
    name = named(address, kind)
    if not client.has_collection(name):
        return
    fields = {field["name"] for field in client.describe_collection(name)["fields"]}
    if fields != {"key", *FIELDS[kind]} or _has_rows(client, name):
        raise InputError(
            f"{address}: the collection {name} is something else's; give the gallery another name"
        )
    client.drop_collection(name)


def _has_rows(client: Any, name: str) -> bool:
    if not client.list_indexes(name):  # nothing was written: that comes after indexing
        return False
    client.load_collection(name)
    found = client.query(
        name, filter='key != ""', limit=1, output_fields=["key"], consistency_level=STRONG
    )
    return bool(found)


def make(client: Any, address: Address, kind: str, dimension: int) -> None:
    """A collection, empty and ready."""
    from pymilvus import DataType

    schema = client.create_schema(enable_dynamic_field=False)
    schema.add_field("key", DataType.VARCHAR, max_length=KEY, is_primary=True)
    for field, length in TEXTS[kind].items():
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    if kind == ENROLMENTS:
        schema.add_field("size", DataType.INT64)
    index = client.prepare_index_params()
    if kind == SAMPLES:
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        type_, params = INDEX[address.kind]
        index.add_index("vector", index_type=type_, metric_type="COSINE", params=params)
    else:  # Milvus wants a vector in every collection
        schema.add_field("none", DataType.FLOAT_VECTOR, dim=2)
        index.add_index("none", index_type="FLAT", metric_type="L2")
    if "person" in TEXTS[kind]:
        scalar = "INVERTED" if address.local else ""  # whichever the server has for text
        index.add_index("person", index_type=scalar)
    name = named(address, kind)
    client.create_collection(name, schema=schema, num_shards=1, consistency_level=STRONG)
    client.create_index(name, index, sync=False)
    client.load_collection(name)
