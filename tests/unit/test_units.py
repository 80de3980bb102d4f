"""Memory and walltime are read as people write them, and written so that they are read back."""
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub_hpc_spawner.units import (UnitError, format_memory, format_span, format_walltime, parse_memory,
                                          parse_walltime)

MINUTE, HOUR, DAY = 60, 3600, 86400
KIB, MIB, GIB, TIB, PIB = (1024 ** power for power in range(1, 6))


@pytest.mark.parametrize("text, seconds", [
    ("60", HOUR), (60, HOUR), ("0", 0), (" 60 ", HOUR),
    ("30:00", 30 * MINUTE), ("0:45", 45), ("90:30", 90 * MINUTE + 30),
    ("04:00:00", 4 * HOUR), ("4:00:00", 4 * HOUR), ("100:00:00", 100 * HOUR), ("00:00:45", 45),
    ("1-0", DAY), ("1-12", DAY + 12 * HOUR), ("2-03:30", 2 * DAY + 3 * HOUR + 30 * MINUTE),
    ("1-00:00:00", DAY), ("1-02:03:04", DAY + 2 * HOUR + 3 * MINUTE + 4),
    ("4h", 4 * HOUR), ("90m", 90 * MINUTE), ("1d12h", DAY + 12 * HOUR), ("45s", 45), ("2d", 2 * DAY),
    ("1h30m", 90 * MINUTE), ("1d 2h 3m 4s", DAY + 2 * HOUR + 3 * MINUTE + 4), ("4H", 4 * HOUR), ("4 h", 4 * HOUR),
])
def test_walltime_means_what_sbatch_reads_or_what_its_units_say(text, seconds):
    assert parse_walltime(text) == seconds


@pytest.mark.parametrize("text", [
    "", " ", "abc", "4x", "-5", "+5", "1-", "-1", "1-2-3", "1:2:3:4", "1-1:2:3:4", ":30", "30:", "1.5h", "1,5", "4h4h",
    "30m4h", "h", "4hh", "1e3", "0x10", "UNLIMITED", "INVALID", "N/A", "4h\n4h", "4\n:00", "9" * 20, None, 1.5, [],
])
def test_what_is_no_walltime_is_refused_with_an_example(text):
    with pytest.raises(UnitError, match="04:00:00"):
        parse_walltime(text)


@pytest.mark.parametrize("seconds, text", [
    (0, "00:00:00"), (45, "00:00:45"), (30 * MINUTE, "00:30:00"), (4 * HOUR, "04:00:00"), (DAY - 1, "23:59:59"),
    (DAY, "1-00:00:00"), (36 * HOUR, "1-12:00:00"), (100 * DAY + 1, "100-00:00:01"),
])
def test_walltime_is_written_with_days_only_from_one_day_on(seconds, text):
    assert format_walltime(seconds) == text


@given(st.integers(0, 99999 * DAY))
def test_a_written_walltime_reads_back_as_itself(seconds):
    assert parse_walltime(format_walltime(seconds)) == seconds


@pytest.mark.parametrize("text, size", [
    ("16G", 16 * GIB), ("16g", 16 * GIB), ("16GB", 16 * GIB), ("16 GiB", 16 * GIB), ("16Gib", 16 * GIB),
    ("1.5 TiB", TIB + TIB // 2), ("0.5G", 512 * MIB), ("512M", 512 * MIB), ("512K", 512 * KIB), ("1P", PIB),
    ("4000", 4000 * MIB), (4000, 4000 * MIB), (" 2G ", 2 * GIB), ("0", 0), ("0G", 0),
])
def test_memory_is_in_powers_of_1024_and_megabytes_without_a_unit(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", [
    "", " ", "G", "GB", "16X", "16GG", "-1G", "+1G", "1e3G", "1,5G", ".5G", "1.G", "0x10", "nan", "inf", "16 G B",
    "16G 16G", "16\nG\n16", "9" * 13, None, [], True,
])
def test_what_is_no_memory_size_is_refused_with_an_example(text):
    with pytest.raises(UnitError, match="16G"):
        parse_memory(text)


@pytest.mark.parametrize("size, text", [
    (0, "0K"), (1, "1K"), (1023, "1K"), (KIB, "1K"), (1536, "1K"), (1536 * KIB, "1536K"), (MIB, "1M"),
    (16 * GIB, "16G"),
    (TIB + TIB // 2, "1536G"), (TIB, "1T"), (PIB, "1P"), (1024 * PIB, "1024P"),
])
def test_memory_is_written_in_the_largest_whole_unit(size, text):
    assert format_memory(size) == text


@given(st.integers(0, 10 ** 12 - 1), st.sampled_from([KIB, MIB, GIB]))
def test_a_written_memory_size_reads_back_as_itself(count, unit):
    assert parse_memory(format_memory(count * unit)) == count * unit


@given(st.text(max_size=20))
def test_any_text_is_a_size_and_a_time_or_a_unit_error(text):
    for parse in (parse_memory, parse_walltime):
        try:
            assert parse(text) >= 0
        except UnitError:
            pass


@pytest.mark.parametrize("seconds, text", [
    (0, "less than 1 min"), (20 * MINUTE, "20 min"), (HOUR, "1 h"), (HOUR + MINUTE, "1 h 1 min"), (4 * HOUR, "4 h"),
    (DAY, "1 day"), (2 * DAY + 3 * HOUR + 5 * MINUTE, "2 days 3 h"),
])
def test_a_span_is_in_words_for_people(seconds, text):
    assert format_span(seconds) == text
