"""Skipping is counted, and stops where it becomes too much."""

import pytest

from hornbook.data.tally import EARLY_RECORDS, MOST_WORDINGS, Tally
from hornbook.errors import DataError

BAD = DataError("x.jsonl, line 7: broken.", fix="mend it.")


def test_a_few_bad_records_are_counted_by_reason():
    tally = Tally(0.01)
    tally.used = 500
    for reason in ("not UTF-8", "broken JSON", "broken JSON"):
        tally.skip(reason, BAD)
    tally.finish()
    assert tally.to_json()["bad"] == {"not UTF-8": 1, "broken JSON": 2}


def test_above_the_allowed_share_the_first_error_is_raised_with_the_counts():
    tally = Tally(0.01)
    tally.used = 98
    tally.skip("broken JSON", BAD)
    tally.skip("broken JSON", DataError("later", fix="later"))
    with pytest.raises(
        DataError, match=r"line 7: broken\. 2 of 100 records cannot be used, more than 1\.0 %"
    ) as caught:
        tally.finish()
    assert caught.value.fix == "mend it; or raise data.max_bad_fraction to skip such records."


def test_the_only_record_being_bad_is_its_own_error():
    tally = Tally(0.01)
    tally.skip("broken JSON", BAD)
    with pytest.raises(DataError) as caught:
        tally.finish()
    assert caught.value is BAD


def test_a_hopeless_source_is_stopped_before_its_end():
    tally = Tally(0.01)
    for _ in range(EARLY_RECORDS // 100):
        tally.skip("broken JSON", BAD)
    with pytest.raises(DataError, match="101 of 101 records"):
        tally.skip("broken JSON", BAD)


def test_empty_documents_are_no_error():
    tally = Tally(0.0)
    tally.empty = 10
    tally.note("byte order marks taken off")
    tally.finish()
    assert tally.to_json() == {"used": 0, "empty": 10, "bad": {}, "notes": {"byte order marks taken off": 1}}


def test_reasons_are_counted_by_what_they_say_and_numbers_aside():
    tally = Tally(1.0)
    for line, role in ((3, "user"), (9, "user"), (12, "assistant")):
        problem = f"a.jsonl, line {line}: Message {line} has role '{role}' twice."
        tally.skip("unusable record", DataError(problem, fix="correct it."))
    assert tally.why == {"Message 3 has role 'user' twice.": 2, "Message 12 has role 'assistant' twice.": 1}
    assert tally.bad == {"unusable record": 3}


def test_reasons_that_never_end_are_counted_together():
    tally = Tally(1.0)
    for letter in "abcdefghijklmnopqrstuvwxyz":
        tally.skip("unusable record", DataError(f"x: no field '{letter}'.", fix="add it."))
    assert len(tally.why) == MOST_WORDINGS + 1
    assert tally.why["other reasons"] == 26 - MOST_WORDINGS
