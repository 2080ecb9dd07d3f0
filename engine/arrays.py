"""The arrays of a shard as the kernels see them, and the two things every kernel does with them.

Rules of this file: `Arrays` is renewed for each call (growth replaces arrays); kernels append and touch only through
the functions here, so that nothing changes without being made durable.
Theory of operation: to Python an `Arrays` is a plain object with an attribute an array. To compiled code it is one
vector of addresses and sizes, and ``a.ads`` is a view made from it; passing seventy arrays by value through every call
would cost more than the work, and minutes of compilation.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from engine.kernel import Int, inlined
from engine.layout import INDEXED, NAMES, TABLES

STAMPED: Final = tuple(name for name, _, stamped in TABLES if stamped)

RULE = np.dtype(
    [
        ("grid_ms", "i8"),
        ("lookback_ms", "i8"),
        ("currency", "u4"),
        ("stage_at", "i4"),
        ("stage_count", "i4"),
        ("mode", "u1"),
        ("policy", "u1"),
        ("zone_rule", "u1"),
        ("pad", "u1"),
        ("zone_days_ms", "i8"),
        ("zone_spend_micros", "i8"),
        ("kill_spend_micros", "i8"),
        ("kill_roas_ppm", "i8"),
        ("scale_roas_ppm", "i8"),
        ("break_even_ppm", "i8"),
        ("act_every_ms", "i8"),
    ]
)
"""What the kernels need of an account's configuration; row i belongs to account i. Never stored."""

STAGE = np.dtype([("hash", "u8"), ("value_micros", "i8"), ("uses_value", "u1"), ("pad", "u1", (7,))])
"""One spelling of a stage; the rows of an account stand together."""


FIELDS: Final[tuple[tuple[str, np.dtype[Any]], ...]] = (
    *((name, dtype) for name, dtype, _ in TABLES),
    *((f"{name}_slots", np.dtype("u8")) for name in INDEXED),
    *((f"{name}_stamps", np.dtype("u1")) for name in STAMPED),
    *((f"{name}_touched", np.dtype("i8")) for name in NAMES),
    *((name, np.dtype("i8")) for name in ("used", "base", "saved", "n_touched", "pending", "n_pending")),
    ("rules", RULE),
    ("stages", STAGE),
)
"""Every table's rows, its slots (if indexed), its stamps (if stamped), its touched places; the counts of all tables
(int64[n_tables] each); the claims that wait and their number; the accounts' rules and stage values."""


class Arrays:
    """The arrays of a shard; its attributes are `FIELDS`."""

    _numba_type_: ClassVar[ArraysType]

    def __init__(self) -> None:
        self._held: list[Any] = [None] * len(FIELDS)
        self.vector = np.zeros(2 * len(FIELDS), np.int64)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> NDArray[Any]: ...

    def renew(self, arrays: list[NDArray[Any]]) -> None:
        """Take the arrays, in the order of `FIELDS`; those that were not replaced cost a comparison."""
        held = self._held
        for place, array in enumerate(arrays):
            if array is not held[place]:
                held[place] = array
                setattr(self, FIELDS[place][0], array)
                self.vector[place] = array.__array_interface__["data"][0]
                self.vector[len(FIELDS) + place] = array.size


class ArraysType(types.Type):
    """`Arrays` in compiled code; its name tells one layout from another, as cached code is found by it."""

    def __init__(self) -> None:
        super().__init__(name=f"Arrays[{blake2b(repr(FIELDS).encode(), digest_size=8).hexdigest()}]")


_ARRAYS: Final = ArraysType()
Arrays._numba_type_ = _ARRAYS  # found by numba's dispatcher without a call into Python
_VECTOR: Final = types.Array(types.int64, 1, "C")


@typeof_impl.register(Arrays)
def _typeof_arrays(val: Arrays, c: Any) -> ArraysType:
    return _ARRAYS


@register_model(ArraysType)
class _ArraysModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("vector", _VECTOR)])  # type: ignore[no-untyped-call]  # numba has no types


@unbox(ArraysType)  # type: ignore[untyped-decorator]  # numba has no types
def _unbox_arrays(kind: Any, obj: Any, c: Any) -> NativeValue:
    vector = c.pyapi.object_getattr_string(obj, "vector")
    inner = c.unbox(_VECTOR, vector)
    made = cgutils.create_struct_proxy(kind)(c.context, c.builder)
    made.vector = inner.value
    c.pyapi.decref(vector)
    return NativeValue(made._getvalue(), is_error=inner.is_error)


_PLACES: Final = {name: place for place, (name, _) in enumerate(FIELDS)}


@infer_getattr
class _ArraysAttributes(AttributeTemplate):
    """The types of the attributes in compiled code."""

    key = ArraysType

    def generic_resolve(self, typ: Any, attr: str) -> Any:  # type: ignore[override]  # a constant in numba
        if attr not in _PLACES:
            return None
        return types.Array(from_dtype(FIELDS[_PLACES[attr]][1]), 1, "C")


@lower_getattr_generic(ArraysType)  # type: ignore[untyped-decorator]  # numba has no types
def _lower_attribute(context: Any, builder: Any, typ: Any, value: Any, attr: str) -> Any:
    """A view of the array whose address and size stand in the vector; nobody owns it, the caller keeps it alive."""
    kind = types.Array(from_dtype(FIELDS[_PLACES[attr]][1]), 1, "C")
    vector = context.make_array(_VECTOR)(context, builder, builder.extract_value(value, 0)).data
    word = context.get_constant(types.intp, _PLACES[attr])
    size_word = context.get_constant(types.intp, len(FIELDS) + _PLACES[attr])
    address = builder.load(builder.gep(vector, [word]))
    size = builder.load(builder.gep(vector, [size_word]))
    item = context.get_data_type(kind.dtype)
    item_size = context.get_constant(types.intp, context.get_abi_sizeof(item))
    view = context.make_array(kind)(context, builder)
    populate_array(
        view,
        data=builder.inttoptr(address, item.as_pointer()),
        shape=[size],
        strides=[item_size],
        itemsize=item_size,
        meminfo=None,
    )
    return view._getvalue()


@inlined
def touch(
    touched: NDArray[np.int64],
    stamps: NDArray[np.uint8],
    saved: NDArray[np.int64],
    n_touched: NDArray[np.int64],
    table: Int,
    place: Int,
) -> None:
    """Note that an older row of a stamped table changed, once between two commits."""
    if place < saved[table] and stamps[place] == 0:
        stamps[place] = 1
        touched[n_touched[table]] = place
        n_touched[table] += 1


@inlined
def touch_rare(
    touched: NDArray[np.int64], saved: NDArray[np.int64], n_touched: NDArray[np.int64], table: Int, place: Int
) -> None:
    """Note that an older row of an unstamped table changed; the caller bounds how often."""
    if place < saved[table]:
        touched[n_touched[table]] = place
        n_touched[table] += 1


def text_at(texts: NDArray[np.uint8], place: int, count: int) -> list[str]:
    """Read ``count`` texts that stand one after another (a length byte before each)."""
    found = []
    for _ in range(count):
        size = int(texts[place])
        found.append(texts[place + 1 : place + 1 + size].tobytes().decode())
        place += 1 + size
    return found


def raw_at(texts: NDArray[np.uint8], place: int) -> bytes:
    """Read a raw line (four length bytes before it)."""
    size = int.from_bytes(texts[place : place + 4].tobytes(), "little")
    return texts[place + 4 : place + 4 + size].tobytes()


def as_text(texts: list[str]) -> NDArray[np.uint8]:
    """The stored form of short texts (each at most 255 bytes)."""
    data = b"".join(bytes((len(t.encode()),)) + t.encode() for t in texts)
    return np.frombuffer(data, np.uint8)
