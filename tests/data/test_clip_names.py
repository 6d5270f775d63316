"""clip_names: all forms of a clip's name are one name, and different names stay different."""

import itertools

import pytest

from wsedtk.data.clip_names import (
    clip_key,
    excerpt_times,
    source_of,
    without_extension,
    without_y,
    youtube_key,
)

IDS = [
    "abcdefghijk",
    "-abcdefghij",
    "--abcdefghi",
    "Yabcdefghij",
    "YYYYYYYYYYY",
    "Y-bcdefghij",
    "a_b_c_d_e_f",
    "__________0",
    "Y_1_2_3_4_5",
]
SPELLINGS = list(
    itertools.product(
        IDS, ["", "Y"], ["30.000_40.000", "30_40", "30.0_40.00"], ["", ".wav", ".WAV", ".flac"]
    )
)


def test_every_spelling_of_an_id_is_one_clip_and_ids_stay_apart():
    keys = {}
    for youtube, y, times, extension in SPELLINGS:
        name = f"{y}{youtube}_{times}{extension}"
        keys.setdefault(clip_key(name), set()).add(youtube)
        assert excerpt_times(name) == (30, 40)
        assert without_y(name) == f"{youtube}_{times}{extension}"
    assert sorted(keys) == sorted(f"{youtube}_30.000_40.000" for youtube in IDS) and all(
        len(found) == 1 for found in keys.values()
    )


@pytest.mark.parametrize(
    "name, key",
    [
        ("Yes.wav", "Yes"),
        ("Y.wav", "Y"),
        ("Yabcdefghijk.wav", "Yabcdefghijk"),
        ("Yabcdefghijkl_0_10.wav", "Yabcdefghijkl_0_10"),
        ("Yab_0_10.wav", "Yab_0_10"),
        ("Dr. No_1.5", "Dr. No_1.5"),
        (".wav", ".wav"),
        ("a.wav.flac", "a.wav"),
        ("clip.tsv", "clip.tsv"),
        ("Yabcdefghijk_0_10_20.wav", "Yabcdefghijk_0_10_20"),
    ],
)
def test_other_names_keep_their_y(name, key):
    assert clip_key(name) == key


@pytest.mark.parametrize(
    "name, times",
    [
        ("mix03_170.000_180.000.flac", (170, 180)),
        ("a b_0_2.5", (0, 2.5)),
        ("a_10_10.wav", None),
        ("a_10_5.wav", None),
        ("a_10.wav", None),
        ("10_20.wav", None),
        ("a_1_.wav", None),
        ("a.wav", None),
        ("", None),
    ],
)
def test_times(name, times):
    assert excerpt_times(name) == times


def test_extensions():
    for name, stem in (
        ("a.wav", "a"),
        ("a.b.OGG", "a.b"),
        ("a.10", "a.10"),
        ("a_30.000_40.000", "a_30.000_40.000"),
        ("a", "a"),
    ):
        assert without_extension(name) == stem


# Names by field recorders (Song Meter, AudioMoth, phones), and others that end in numbers.
RECORDERS = [
    "SMA00123_20230501_040000.wav",
    "S4A01_20230501_050000.wav",
    "SITE1_20240131_235959.WAV",
    "20240131_235959.wav",
    "20240131T235959Z.wav",
    "5C3A1B2F.WAV",
    "SITE_5_50123456.WAV",
    "2MA12345_20230101_120000_000.wav",
    "2MA12345_20230101_000000_000.wav",
    "2MA12345_20230101_000100_130000.wav",
    "SITE_20230501_000030_000040.wav",
    "20240131_000005_60.wav",
    "REC_2024_01_31_10_20_30.wav",
    "REC_2024-01-31_10-20-30_1.wav",
    "SITE_230501_235959.wav",
    "SITE_20230501_0400.wav",
    "rec_100_50.wav",
    "xeno_12_0.wav",
    "a_5_86400.5.wav",
    "a_86401_86402.wav",
    "take_2.wav",
    f"a_0_{10**400}.wav",
]


@pytest.mark.parametrize("name", RECORDERS)
def test_numbers_that_are_no_times(name):
    stem = name.rsplit(".", 1)[0]
    assert (
        excerpt_times(name) is None
        and source_of(name) == stem
        and clip_key(name) == stem
        and youtube_key(name) is None
    )
    assert without_y(f"Y{name}") == f"Y{name}"


@pytest.mark.parametrize(
    "name", [name for name in RECORDERS if not name.startswith(("rec", "xeno", "a_"))]
)
def test_excerpts_of_such_recordings(name):
    stem = name.rsplit(".", 1)[0]
    assert source_of(f"{stem}_5_10.5.wav") == source_of(f"{stem}_20_30.flac") == stem
    assert excerpt_times(f"{stem}_5_10.5.wav") == (5, 10.5)


@pytest.mark.parametrize(
    "name, source, times",
    [
        ("rec_000030_000040.wav", "rec", (30, 40)),
        ("rec_0_86400.wav", "rec", (0, 86400)),
        ("SITE_20230501_0_3.wav", "SITE_20230501", (0, 3)),
        ("SITE_20230501_000030.000_000040.000.wav", "SITE_20230501", (30, 40)),
        ("ab_20230101_0_10.wav", "ab_20230101", (0, 10)),
        ("ab120230101_30_40", "ab120230101", (30, 40)),
        ("mix03_170.000_180.000.flac", "mix03", (170, 180)),
        ("SITE_20231301_000030_000040.wav", "SITE_20231301", (30, 40)),
        ("SITE_20230501_006000_007000.wav", "SITE_20230501", (6000, 7000)),
    ],
)
def test_numbers_that_are_times(name, source, times):
    assert (source_of(name), excerpt_times(name)) == (source, times)


@pytest.mark.parametrize(
    "last, is_believed", [(0, True), (1, True), (2, True), (2.001, False), (60, False)]
)
def test_events_beyond_what_a_name_says(last, is_believed):
    """`take_1_2.wav` is 1 s of `take`; events may end up to 1 s later."""
    assert excerpt_times("take_1_2.wav", last) == ((1, 2) if is_believed else None)
    assert source_of("take_1_2.wav", last) == ("take" if is_believed else "take_1_2")


@pytest.mark.parametrize(
    "name", ["Yabcdefghijk_0_10.wav", "abcdefghijk_10.000_20.000", "abcdefghijk_20_30.flac"]
)
def test_the_source_of_a_youtube_clip_is_its_id(name):
    assert source_of(name) == "abcdefghijk"


def test_names_that_begin_with_y_are_two_recordings():
    """They are not excerpts of a video `SITE_000001`, one of them with a Y before its ID."""
    assert clip_key("YSITE_000001_20230501_040000.wav") != clip_key(
        "SITE_000001_20230501_040000.wav"
    )
