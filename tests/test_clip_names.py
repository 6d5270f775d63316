"""clip_names: every way to write a clip's name comes to one, and names that differ stay apart."""

import itertools

import pytest

from wsedtk.clip_names import clip_key, excerpt_times, without_extension, without_y

IDS = ["abcdefghijk", "-abcdefghij", "--abcdefghi", "Yabcdefghij", "YYYYYYYYYYY", "Y-bcdefghij", "a_b_c_d_e_f", "__________0",
       "Y_1_2_3_4_5"]
SPELLINGS = list(itertools.product(IDS, ["", "Y"], ["30.000_40.000", "30_40", "30.0_40.00"], ["", ".wav", ".WAV", ".flac"]))


def test_every_spelling_of_an_id_is_one_clip_and_ids_stay_apart():
    keys = {}
    for youtube, y, times, extension in SPELLINGS:
        name = f"{y}{youtube}_{times}{extension}"
        keys.setdefault(clip_key(name), set()).add(youtube)
        assert excerpt_times(name) == (30, 40)
        assert without_y(name) == f"{youtube}_{times}{extension}"
    assert sorted(keys) == sorted(f"{youtube}_30.000_40.000" for youtube in IDS) and all(len(found) == 1 for found in keys.values())


@pytest.mark.parametrize("name, key", [
    ("Yes.wav", "Yes"), ("Y.wav", "Y"), ("Yabcdefghijk.wav", "Yabcdefghijk"), ("Yabcdefghijkl_0_10.wav", "Yabcdefghijkl_0_10"),
    ("Yab_0_10.wav", "Yab_0_10"), ("Dr. No_1.5", "Dr. No_1.5"), (".wav", ".wav"), ("a.wav.flac", "a.wav"), ("clip.tsv", "clip.tsv"),
    ("Yabcdefghijk_0_10_20.wav", "Yabcdefghijk_0_10_20")])
def test_other_names_keep_their_y(name, key):
    assert clip_key(name) == key


@pytest.mark.parametrize("name, times", [
    ("mix03_170.000_180.000.flac", (170, 180)), ("a b_0_2.5", (0, 2.5)), ("a_10_10.wav", None), ("a_10_5.wav", None), ("a_10.wav", None),
    ("10_20.wav", None), ("a_1_.wav", None), ("a.wav", None), ("", None)])
def test_times(name, times):
    assert excerpt_times(name) == times


def test_extensions():
    for name, stem in (("a.wav", "a"), ("a.b.OGG", "a.b"), ("a.10", "a.10"), ("a_30.000_40.000", "a_30.000_40.000"), ("a", "a")):
        assert without_extension(name) == stem
