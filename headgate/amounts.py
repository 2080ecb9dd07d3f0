"""Money, ratios and spans of time as people write them, made exact integers.

Rules of this file: a number becomes micros, parts per million or milliseconds without rounding, or it is refused;
binary floating point never enters (`tomllib` reads with ``parse_float=Decimal``).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from engine.events import MONEY_MAX_MICROS, MS_PER_DAY, MS_PER_HOUR

MICROS: Final = 1_000_000
MS_PER_SECOND: Final = 1000
MS_PER_MINUTE: Final = 60_000


def exact(value: object, factor: int, at_most: int, *, at_least: int = 0) -> int:
    """Multiply a written number by ``factor`` and refuse what is not a whole number then.

    Parameters
    ----------
    value : int, Decimal or str as it stands in the file.
    factor : int, e.g. 1,000,000 from currency units to micros.
    at_most, at_least : int, bounds of the result, in its own unit.

    Returns
    -------
    int, ``value * factor``, exactly.

    Raises
    ------
    ValueError with what is allowed.
    """
    number = _decimal(value)
    scaled = number * factor
    if scaled != scaled.to_integral_value():
        message = f"{value} is not a whole number of milliseconds"
        if factor == MICROS:
            message = f"{value} is too fine: at most 6 decimals are allowed"
        raise ValueError(message)
    if not at_least <= scaled <= at_most:
        low, high = Decimal(at_least) / factor, Decimal(at_most) / factor
        message = f"{value} is outside {low.normalize():f} .. {high.normalize():f}"
        raise ValueError(message)
    return int(scaled)


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        message = 'a number is wanted, as 15000 or "2250.50"'
        raise ValueError(message)  # noqa: TRY004 - pydantic turns only ValueError into a refusal
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or len(number.as_tuple().digits) > 40 or abs(number.adjusted()) > 30:
        message = f'"{value}" is not a number, write it as 15000 or "2250.50"'
        raise ValueError(message)
    return number


def _reader(factor: int, at_most: int, at_least: int = 0) -> BeforeValidator:
    convert: Callable[[Any], int] = lambda value: exact(value, factor, at_most, at_least=at_least)  # noqa: E731 - typed
    return BeforeValidator(convert)


def _shape(text: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["number", "string"], "minimum": 0, "description": text})


Money = Annotated[int, _reader(MICROS, MONEY_MAX_MICROS), _shape("currency units, at most 6 decimals")]
Ratio = Annotated[int, _reader(MICROS, 10**12), _shape("a ratio, at most 6 decimals")]
PositiveRatio = Annotated[int, _reader(MICROS, 10**12, 1), _shape("a ratio above 0, at most 6 decimals")]
Share = Annotated[int, _reader(MICROS, MICROS), _shape("a share, 0 .. 1, at most 6 decimals")]
Days = Annotated[int, _reader(MS_PER_DAY, 3650 * MS_PER_DAY), _shape("days")]
Lookback = Annotated[int, _reader(MS_PER_DAY, 90 * MS_PER_DAY), _shape("days, at most 90")]
Hours = Annotated[int, _reader(MS_PER_HOUR, 8760 * MS_PER_HOUR), _shape("hours")]
Minutes = Annotated[int, _reader(MS_PER_MINUTE, 525_600 * MS_PER_MINUTE), _shape("minutes")]
Seconds = Annotated[int, _reader(MS_PER_SECOND, 86_400 * MS_PER_SECOND), _shape("seconds")]
