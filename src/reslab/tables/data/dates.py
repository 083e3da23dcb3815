"""Dates as people write them: 2024-02-29, 29.2.2024, 29/02/2024 12:30, 29 Feb 2024."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

Order = Literal["dmy", "mdy"]
ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE)
TIME = r"(?:(?:T|,?\s+)(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})\d*)?)?(?:\s?([AaPp])\.?[Mm]\.?)?)?"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NAME = (r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
        r"nov(?:ember)?|dec(?:ember)?)\.?")  # fmt: skip
YEAR_FIRST = re.compile(rf"(\d{{4}})([/.])(\d{{1,2}})\2(\d{{1,2}}){TIME}")
YEAR_LAST = re.compile(rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}){TIME}")
DAY_NAME = re.compile(rf"(\d{{1,2}})[ -]{NAME}[ -](\d{{4}}){TIME}", re.IGNORECASE)
NAME_DAY = re.compile(rf"{NAME} (\d{{1,2}}),? (\d{{4}}){TIME}", re.IGNORECASE)


def iso_date(text: str) -> datetime | None:
    """An ISO date or time (2024-02-29, 2024-02-29 12:30, 2024-02-29T12:30:00Z), in UTC if it has a time zone."""
    if not ISO.fullmatch(text.strip()):
        return None
    try:
        return utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        return None


def date_of(text: str, order: Order | None = None) -> datetime | None:
    """A date or time written in ISO, year first, day first with points, with the month's name, or in this `order`.

    Without an order, 29/02/2024 and 2/29/2024 are dates, since they can be read in one way only; 3/4/2024 is None.
    """
    found = iso_date(text)
    if found is not None or not text or not (text[0].isdigit() or text[-1].isdigit() or text[0].isspace()):
        return found
    bare = text.strip()
    if match := YEAR_FIRST.fullmatch(bare):
        return _moment(match[1], match[3], match[4], match.groups()[4:])
    if match := DAY_NAME.fullmatch(bare):
        return _moment(match[3], match[2], match[1], match.groups()[3:])
    if match := NAME_DAY.fullmatch(bare):
        return _moment(match[3], match[1], match[2], match.groups()[3:])
    match = YEAR_LAST.fullmatch(bare)
    if not match:
        return None
    first, second, year, time = match[1], match[3], match[4], match.groups()[4:]
    day_first, month_first = _moment(year, second, first, time), _moment(year, first, second, time)
    if match[2] == "." or order == "dmy":
        return day_first
    if order == "mdy":
        return month_first
    if day_first is not None and month_first is not None:
        return day_first if day_first == month_first else None
    return day_first or month_first


def order_of(texts: Iterable[str]) -> Order | None:
    """The one order in which some of the dates like 29/02/2024 can be read; None if there are none, or of both."""
    found: set[Order] = set()
    for text in texts:
        if (match := YEAR_LAST.fullmatch(text.strip())) and match[2] != ".":
            day, month = date_of(text, "dmy"), date_of(text, "mdy")
            if (day is None) != (month is None):
                found.add("mdy" if day is None else "dmy")
    return found.pop() if len(found) == 1 else None


def utc(moment: datetime) -> datetime:
    """The time in UTC, without a time zone; unchanged if it had none."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _moment(year: str, month: str, day: str, time: tuple[str | None, ...]) -> datetime | None:
    hour, minute, second, fraction, half = time
    number = int(month) if month.isdigit() else MONTHS.index(month[:3].lower()) + 1
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + 12 * (half in "pP")
    try:
        return datetime(
            int(year), number, int(day), hours, int(minute or 0), int(second or 0), int((fraction or "0").ljust(6, "0"))
        )
    except ValueError:
        return None
