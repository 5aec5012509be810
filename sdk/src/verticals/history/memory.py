"""What a stream remembers of each entity: columns of plain numbers, and no more than can be seen.

An event takes 8 bytes for its time, 8 for its amount and 4 for each other entity. Kept are the
`cap` latest events before an entity's latest time, one more to tell that the cap hid something, as
many of that latest time itself, and none that is out of the longest window.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence

from verticals.history.define import EntityPlan

NEVER = -(2**63)  # before every time
ABSENT = -1  # the code of another entity that is missing
_CONFIRMED = 64  # events in a row that come from far ahead: then it is that late


class Codes:
    """Number texts, and forget a text that no event holds any more."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.uses: list[int] = []
        self._texts: list[str] = []
        self._free: list[int] = []

    def find(self, text: str | None) -> int:
        """Return the number of a text, `ABSENT` if it has none."""
        return ABSENT if text is None else self.numbers.get(text, ABSENT)

    def take(self, text: str | None, uses: int = 1) -> int:
        """Return the number of a text, a new one if need be, and count its further uses."""
        if text is None:
            return ABSENT
        number = self.numbers.get(text, ABSENT)
        if number == ABSENT:
            if not self._free:
                self._free.append(len(self.uses))
                self.uses.append(0)
                self._texts.append("")
            number = self._free.pop()
            self.numbers[text] = number
            self._texts[number] = text
        self.uses[number] += uses
        return number

    def drop(self, numbers: Sequence[int]) -> None:
        """Give back one use of each number."""
        for number in numbers:
            if number == ABSENT:
                continue
            self.uses[number] -= 1
            if not self.uses[number]:
                del self.numbers[self._texts[number]]
                self._texts[number] = ""
                self._free.append(number)


class Record:
    """Hold what is remembered of one entity, oldest first; `latest` is the time it stands at."""

    __slots__ = ("amounts", "label_times", "labels", "latest", "others", "times")

    def __init__(self, latest: int, others: int) -> None:
        self.latest = latest
        self.times = array("q")
        self.amounts = array("q")  # empty where no amount is read
        self.others = tuple(array("i") for _ in range(others))
        self.label_times = array("q")
        self.labels = array("b")


class EntityMemory:
    """Remember the events of one kind of entity, least recently seen first.

    An entity that no window can see any more is dropped. `forgotten` is the time from which none
    of the dropped ones would be seen: an earlier event of an entity not held comes too late.

    `clock` is what time it is. An event more than a longest window ahead of it moves it only when
    so many in a row come from there: a few with a wrong clock, years ahead, would otherwise have
    everybody forgotten and every ordinary event refused. `ahead` counts them.
    """

    def __init__(self, plan: EntityPlan, codes: Sequence[Codes]) -> None:
        self.plan = plan
        self.codes = tuple(codes)  # one for each of `plan.distinct`
        self.records: OrderedDict[str, Record] = OrderedDict()
        self.forgotten = NEVER
        self.clock = NEVER
        self.ahead = 0

    def latest(self, key: str) -> int:
        """Return the time before which an event of this entity comes too late."""
        record = self.records.get(key)
        return self.forgotten if record is None else record.latest

    def take(self, key: str, time: int, amount: int, others: Sequence[str | None]) -> None:
        """Remember an event that comes at no time before `latest`."""
        record = self._record(key)
        self.records.move_to_end(key)
        record.latest = time
        record.times.append(time)
        if self.plan.reads_amount:
            record.amounts.append(amount)
        for column, codes, other in zip(record.others, self.codes, others, strict=True):
            column.append(codes.take(other))
        self._trim(record)
        self._tick(time)
        self._forget(time)

    def tell(self, key: str, known: int, label: int) -> None:
        """Remember a label that becomes known at a time."""
        record = self._record(key)
        place = bisect_right(record.label_times, known)
        record.label_times.insert(place, known)
        record.labels.insert(place, label)
        self._trim_labels(record)

    def _record(self, key: str) -> Record:
        record = self.records.get(key)
        if record is None:
            record = self.records[key] = Record(self.forgotten, len(self.codes))
        return record

    def _trim(self, record: Record) -> None:
        keep = self.plan.cap + 1
        times = record.times
        past = bisect_left(times, record.latest)
        if len(times) - past > keep:
            self._delete(record, past, len(times) - keep)
        expired = bisect_left(times, record.latest - self.plan.longest, 0, past)
        if first := max(expired, past - keep):
            self._delete(record, 0, first)
        self._trim_labels(record)

    def _trim_labels(self, record: Record) -> None:
        times = record.label_times
        seen = bisect_left(times, record.latest)
        expired = bisect_left(times, record.latest - self.plan.longest, 0, seen)
        first = max(expired, seen - self.plan.cap - 1)
        if first > 0:
            del times[:first]
            del record.labels[:first]

    def _delete(self, record: Record, first: int, last: int) -> None:
        del record.times[first:last]
        if record.amounts:
            del record.amounts[first:last]
        for column, codes in zip(record.others, self.codes, strict=True):
            codes.drop(column[first:last])
            del column[first:last]

    def _tick(self, time: int) -> None:
        far = self.clock != NEVER and time > self.clock + self.plan.longest
        self.ahead = self.ahead + 1 if far else 0
        if not far or self.ahead >= _CONFIRMED:
            self.clock, self.ahead = max(self.clock, time), 0

    def _forget(self, time: int) -> None:
        """Drop up to two entities that are long out of sight, so that no push takes long.

        An entity is held for a longest window more than it can be seen: events of different
        entities need not come in order of time. Labels that are yet to come keep it, too.
        """
        now = min(time, self.clock)
        for _ in range(2):
            key = next(iter(self.records))
            record = self.records[key]
            if record.latest + 2 * self.plan.longest >= now:
                return
            last = max(record.latest, record.label_times[-1] if record.labels else NEVER)
            if last + 2 * self.plan.longest >= now:
                self.records.move_to_end(key)
                continue
            self._delete(record, 0, len(record.times))
            del self.records[key]
            self.forgotten = max(self.forgotten, last + self.plan.longest + 1)
