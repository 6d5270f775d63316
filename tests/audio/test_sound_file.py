"""PyAV, channels that cancel each other, and the messages of all verbs about a faulty file."""

import re

import av
import numpy as np
import pytest
from helpers import LABELS, make_point, write_set
from sounds import RATE, by_pyav, by_pyav_file, encode, le, noise, put, unknown_length

from wsedtk.audio import audio_files, sound_file
from wsedtk.core.errors import InputError
from wsedtk.corpora import mixing, sound_bank, youtube
from wsedtk.data import datadir
from wsedtk.decoding import operating_point

# --- reading by PyAV ---


@pytest.mark.parametrize(
    "name, format_name, codec, tolerance",
    [
        ("x.m4a", "ipod", "alac", 2**-14),
        ("x.mp4", "mp4", "aac", 0.5),
        ("x.mka", "matroska", "pcm_s16le", 2**-14),
        ("x.mov", "mov", "pcm_s24le", 2**-14),
        ("x.wma", "asf", "wmav2", 0.5),
        ("x.avi", "avi", "pcm_s16le", 2**-14),
        ("x.tta", "tta", "tta", 0.1),
        ("x.aac", "adts", "aac", 0.6),
        ("x.ts", "mpegts", "aac", 0.6),
        ("x.wv", "wv", "wavpack", 0.1),
        ("x.flv", "flv", "aac", 0.6),
    ],
)
def test_other_formats(hear, tmp_path, name, format_name, codec, tolerance):
    samples = noise(2 * RATE, channels=2)
    content = by_pyav_file(tmp_path, samples, RATE, format_name, codec)
    found, rate, remarks = hear(content, name)
    assert (
        rate == RATE
        and remarks == []
        and abs(len(found) - 2 * RATE) <= 2048
        and len(found) == by_pyav(content)
    )
    if tolerance < 0.01:
        np.testing.assert_allclose(found[: 2 * RATE], samples.mean(axis=1), atol=tolerance)


@pytest.mark.parametrize("format_name, codec", [("matroska", "pcm_s16le"), ("adts", "aac")])
def test_truncated_files_of_other_formats(hear, tmp_path, format_name, codec):
    whole = by_pyav_file(tmp_path, noise(6 * RATE), RATE, format_name, codec)
    found, _, remarks = hear(whole[: len(whole) // 2])
    assert 2.5 * RATE < len(found) <= 3.1 * RATE
    np.testing.assert_array_equal(found, hear(whole)[0][: len(found)])
    heard = sound_file.shown_seconds(len(found) / RATE)
    assert remarks == [f"breaks off after {heard} {'s' if codec == 'aac' else 'of 6 s'}"]


@pytest.mark.parametrize(
    "format_name, codec, video_codec",
    [
        ("matroska", "aac", "mpeg4"),
        ("flv", "aac", "flv"),
        ("avi", "pcm_s16le", "mpeg4"),
        ("avi", "mp2", None),
        ("asf", "wmav2", "msmpeg4v3"),
    ],
)
def test_truncated_films(hear, tmp_path, format_name, codec, video_codec):
    """FFmpeg reports neither the fault nor the true duration."""
    made = by_pyav_file(
        tmp_path, noise(6 * RATE), RATE, format_name, codec, video_codec=video_codec
    )
    whole, _, remarks = hear(made)
    assert remarks == [] and abs(len(whole) - 6 * RATE) < 0.2 * RATE
    found, _, remarks = hear(made[: len(made) * 6 // 10])
    assert len(remarks) == 1 and remarks[0].startswith("breaks off after ")
    assert 0.1 * len(whole) < len(found) < 0.9 * len(whole)
    np.testing.assert_array_equal(
        found[:-1152], whole[: len(found) - 1152]
    )  # except for a last frame of MP2


def test_a_film_that_is_longer_than_its_sound(hear, tmp_path):
    """FFmpeg continues after damaged sound as if nothing were missing."""
    made = by_pyav_file(tmp_path, noise(3 * RATE), RATE, "avi", "pcm_s16le", video_codec="mpeg4")
    found, _, remarks = hear(made)
    assert (len(found), remarks) == (3 * RATE, ["contains 3 s of sound, but lasts 6 s"])


def test_a_fragmented_mp4_that_is_damaged(hear, tmp_path):
    """FFmpeg reports the duration of the fragments that it read."""
    options = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
    made = by_pyav_file(tmp_path, noise(20 * RATE), RATE, "mp4", "aac", options=options)
    assert hear(made)[2] == []
    found, _, remarks = hear(made[: len(made) // 2] + made[len(made) // 2 + 2000 :])
    assert (
        len(remarks) == 1
        and remarks[0].startswith("breaks off after ")
        and 8 * RATE < len(found) < 12 * RATE
    )


@pytest.mark.parametrize(
    "format_name, codec",
    [
        ("mov", "pcm_s16le"),
        ("ipod", "aac"),
        ("flv", "aac"),
        ("avi", "pcm_s16le"),
    ],
)
def test_joined_films(hear, tmp_path, format_name, codec):
    one, other = (
        by_pyav_file(tmp_path, noise(2 * RATE, seed), RATE, format_name, codec) for seed in (0, 1)
    )
    expected = np.concatenate([hear(one)[0], hear(other)[0]])
    found, _, remarks = hear(one + other)
    np.testing.assert_array_equal(found, expected)
    assert remarks == [
        f"is a concatenation of 2 files; decoded: {sound_file.shown_seconds(len(found) / RATE)} s"
    ]


def test_sound_that_begins_later_than_the_pictures(hear, tmp_path):
    made = by_pyav_file(
        tmp_path, noise(4 * RATE), RATE, "matroska", "pcm_s16le", start_seconds=(3.0,)
    )
    found, _, remarks = hear(made)
    assert (len(found), remarks) == (4 * RATE, [])


def test_camcorders_put_four_bytes_before_each_packet(hear, tmp_path):
    made = by_pyav_file(tmp_path, noise(2 * RATE), RATE, "mpegts", "aac")
    packets = [made[place : place + 188] for place in range(0, len(made), 188)]
    found, _, remarks = hear(b"".join(bytes(4) + packet for packet in packets), "x.mts")
    np.testing.assert_array_equal(found, hear(made, "x.ts")[0])
    assert remarks == []


def test_damage_that_decodes_to_a_burst(hear, tmp_path):
    """Lossy codecs decode damaged packets to arbitrary samples without an error."""
    samples = noise(4 * RATE)
    samples[2 * RATE :] *= 100
    found, _, remarks = hear(by_pyav_file(tmp_path, samples, RATE, "matroska", "aac"))
    heard = sound_file.shown_seconds(len(found) / RATE)
    assert 1.8 * RATE < len(found) < 2.2 * RATE and remarks == [
        f"breaks off after {heard} of 4.1 s"
    ]
    assert hear(by_pyav_file(tmp_path, samples, RATE, "matroska", "pcm_f32le"))[2] == []


def flv_tag(kind, data, milliseconds):
    """Return a tag of an FLV file; kind 9 is video."""
    head = bytes([kind]) + len(data).to_bytes(3, "big") + milliseconds.to_bytes(3, "big")
    return head + bytes(4) + data + (11 + len(data)).to_bytes(4, "big")


def test_a_track_that_begins_at_the_end(hear, tmp_path):
    """PyAV raises IndexError at the end of such files."""
    content = by_pyav_file(tmp_path, noise(30 * RATE), RATE, "flv", "aac")
    num_heard = len(hear(content, "x.flv")[0])
    content += 3 * flv_tag(9, b"\x12" + bytes(50), 30_000)
    found, _, remarks = hear(content, "x.flv")
    remark = "contains a track that appears only later in the file; this track is not decoded"
    assert (len(found), remarks) == (num_heard, [remark])


def test_eight_channels(tmp_path):
    """PyAV reads memory beyond the last of eight planes."""
    levels = 1000 * np.arange(1, 9)
    frame = av.AudioFrame.from_ndarray(
        np.tile(levels, RATE)[None].astype(np.int16), format="s16", layout="7.1"
    )
    frame.sample_rate = RATE
    with av.open(str(tmp_path / "x.wv"), "w", format="wv") as container:
        stream = container.add_stream("wavpack", rate=RATE, layout="7.1", format="s16p")
        for converted in av.AudioResampler(format=stream.format).resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    with sound_file.Sound(tmp_path / "x.wv") as sound:
        found = sound.read(RATE)
    np.testing.assert_array_equal(found, np.tile(levels / 2**15, (RATE, 1)))


def test_a_truncated_mp4(hear, tmp_path):
    """The index is at the front."""
    options = {"movflags": "faststart"}
    whole = by_pyav_file(tmp_path, noise(6 * RATE), RATE, "mp4", "alac", options=options)
    found, _, remarks = hear(whole[: len(whole) // 2])
    assert 2.5 * RATE < len(found) <= 3.1 * RATE
    assert remarks == [f"breaks off after {sound_file.shown_seconds(len(found) / RATE)} of 6 s"]


def test_an_m4a_without_its_index_is_no_sound(hear, tmp_path):
    whole = by_pyav_file(tmp_path, noise(RATE), RATE, "mp4", "alac")
    with pytest.raises(InputError, match="x.m4a: can't be read as sound"):
        hear(whole[: whole.rindex(b"moov") - 4], "x.m4a")


def test_missing_packets_are_silent(hear, tmp_path):
    """Later sound keeps its time."""
    samples = noise(4 * RATE)
    content = by_pyav_file(
        tmp_path, samples, RATE, "matroska", "pcm_s16le", start_seconds=(0.0, 5.0)
    )
    found, _, remarks = hear(content)
    assert len(found) == 7 * RATE and not found[2 * RATE : 5 * RATE].any()
    np.testing.assert_allclose(found[5 * RATE :], samples[2 * RATE :, 0], atol=1e-4)
    assert remarks == [
        "lacks 3.0 s of sound (the first gap begins after 2.0 s); "
        "silence replaces the missing sound"
    ]


def test_the_first_of_several_tracks_is_read(hear, tmp_path):
    content = by_pyav_file(tmp_path, noise(RATE), RATE, "matroska", "pcm_s16le", tracks=2)
    found, _, remarks = hear(content)
    np.testing.assert_allclose(found, noise(RATE)[:, 0], atol=1e-4)
    assert remarks == ["contains 2 audio tracks; only the first is decoded"]


def test_a_picture_beside_the_sound(hear, tmp_path):
    """The picture is, for example, the cover in an m4a file, or a film."""
    with av.open(str(tmp_path / "made"), "w", format="mov") as container:
        video = container.add_stream("mjpeg", rate=1, options={"strict": "unofficial"})
        video.width, video.height, video.pix_fmt = 32, 32, "yuvj420p"
        audio_stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(video.encode(picture.reformat(format="yuvj420p")))
        container.mux(video.encode(None))
        samples = (noise(RATE).T * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(audio_stream.encode(frame))
        container.mux(audio_stream.encode(None))
    found, _, remarks = hear((tmp_path / "made").read_bytes())
    np.testing.assert_allclose(found, noise(RATE)[:, 0], atol=1e-4)
    assert remarks == []


NAMES = "wav mp3 au snd vox gsm raw aac ac3 mp4 ts dts mpg wma flac ogg opus".split()


@pytest.mark.parametrize(
    "start", [b"", b"\xff\xfb\x90\xc4", b"\xff\xf1\x50\x80", b"ID3\x04\0\0\0\0\0\x10"]
)
def test_random_bytes_are_no_sound(tmp_path, start, capfd):
    """This holds for any extension, and with a start that looks like a frame."""
    for i, name in enumerate(NAMES):
        path = tmp_path / f"x.{name}"
        path.write_bytes(start + np.random.default_rng(i).bytes(20000))
        with pytest.raises(InputError, match=f"x.{name}: can't be read as sound"):
            audio_files.read(path)
    assert capfd.readouterr() == ("", "")


# --- channels that cancel each other ---


def antiphase(seconds=1.0, offset=0.0, scale=1.0):
    """Return two channels; one is the other negated and scaled, with an offset."""
    tone = 0.3 * np.sin(np.arange(round(seconds * RATE)))
    return np.stack([tone, -scale * tone], axis=1) + offset


@pytest.mark.parametrize(
    "samples, weaker",
    [
        (antiphase(), "silent"),
        (antiphase(scale=0.99), "46 dB weaker than the channels"),
        (antiphase(scale=0.7), "15 dB weaker than the channels"),
        (antiphase(scale=0.5), None),
        (antiphase(offset=0.1), "silent"),
        (antiphase(offset=0.1, scale=0.99), "46 dB weaker than the channels"),
        (1e-5 * antiphase(), None),
        (np.full((RATE, 2), 0.3), None),
        (np.zeros((RATE, 2)), None),
        (np.stack([antiphase()[:, 0], np.zeros(RATE)], axis=1), None),
        (np.stack([*antiphase().T, np.zeros(RATE)], axis=1), "silent"),
        (noise(RATE, channels=8), None),
        (np.concatenate([antiphase(), noise(RATE, channels=2)]), None),
    ],
)
def test_channels_that_cancel_each_other(hear, samples, weaker):
    """The correlation must be below -0.9. Constants and sound below -80 dB are not counted."""
    *_, remarks = hear(encode(samples, "WAV", "FLOAT"))
    found = [re.search("their mean is (.*);", remark).group(1) for remark in remarks]
    assert found == ([weaker] if weaker else [])


# --- all verbs ---


@pytest.fixture
def model(trained, tmp_path):
    """A trained model with an operating point."""
    point = make_point(labels=LABELS, frame_thresholds=np.array([0.5, 0.5]))
    operating_point.write(tmp_path / "point.yaml", point)
    return [trained, "--operating-point", tmp_path / "point.yaml"]


def test_all_verbs_report_the_same(run, model, tmp_path):
    """All files are used by `detect`, `extract` and `validate`, in one process or more."""
    flac, wav = encode(noise(5 * RATE), "FLAC"), encode(noise(4 * RATE))
    mp3 = encode(noise(3 * RATE), "MP3")
    contents = {
        "half.mp3": (mp3[: len(mp3) // 2], "breaks off after 1."),
        "x.m4a": (by_pyav_file(tmp_path, noise(2 * RATE), RATE, "ipod", "alac"), None),
        "cut.flac": (flac[: len(flac) // 2], "breaks off after 2."),
        "open.wav": (
            put(wav, (b"RIFF", 4, le(36)), (b"data", 4, bytes(4))),
            "was never closed; decoded: 4 s",
        ),
        "chained.ogg": (2 * encode(noise(2 * RATE), "OGG"), None),
        "piped.flac": (unknown_length(flac), None),
        "phases.wav": (
            encode(antiphase(3.0)),
            "has channels that cancel each other: their mean is silent",
        ),
    }
    for name, (content, _) in contents.items():
        (tmp_path / "audio" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "audio" / name).write_bytes(content)
    lengths = {name: audio_files.info(tmp_path / "audio" / name).duration for name in contents}
    assert (
        lengths["chained.ogg"] == 4 and lengths["piped.flac"] == 5 and 2 < lengths["cut.flac"] < 3
    )
    data = write_set(
        tmp_path / "set",
        [(name, f"../audio/{name}", lengths[name]) for name in contents],
        ["x"],
        [(name, "x") for name in contents],
    )
    trained, *point = model
    results = {
        "detect": run(
            "detect", trained, tmp_path / "audio", *point, "--scores", tmp_path / "curves"
        ),
        "extract": run("extract", data, tmp_path / "a.h5"),
        "extract --jobs 2": run("extract", data, tmp_path / "b.h5", "--jobs", 2),
        "validate": run("validate", "--audio", data),
    }
    for verb, result in results.items():
        assert result.exit_code == 0, (verb, result.stderr)
        lines = (result.stderr + result.stdout).splitlines()
        for name, (_, remark) in contents.items():
            found = [line for line in lines if name in line and "warning" in line]
            if remark is None:
                assert found == [], verb
            else:
                assert len(found) == 1 and remark in found[0], (verb, found)
    for name, seconds in lengths.items():
        table = (tmp_path / "curves" / f"{name}.tsv").read_text().splitlines()
        assert float(table[-1].split("\t")[1]) == pytest.approx(seconds)
    each = run("detect", trained, tmp_path / "audio", *point, "--channels", "each")
    assert "cancel" not in each.stderr and "cut.flac: breaks off after 2." in each.stderr


@pytest.mark.usefixtures("printed_messages")
def test_prepare_remarks_on_faulty_files(tmp_path, capsys):
    """Remarks are in coverage.tsv; those of a sound bank are printed."""
    name, path = "abcdefghijk_0.000_1.000.wav", tmp_path / "1-a-A.wav"
    path.write_bytes(encode(noise(RATE), "WAV", "PCM_16")[:-8000])
    data = datadir.read(write_set(tmp_path / "set", [(name, "", 1)], ["x"], [(name, "x")]))
    covered = youtube.cover(data, np.array([name]), datadir.path_array([str(path)]), {}, 1)
    assert covered.remarks == {0: "short: lasts 0.750 s; breaks off after 0.75 of 1 s"}
    assert covered.is_true["used"].all()
    pool = sound_bank.Pool({"x": [sound_bank.Recording(path, "x", 1, "a")]}, [])
    assert len(mixing.load([pool], RATE)[path]) == 1
    assert f"warning: {path}: breaks off after 0.75 of 1 s" in capsys.readouterr().err
