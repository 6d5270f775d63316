"""PyAV, channels that cancel each other, and what every verb says about a faulty file."""

import re

import av
import numpy as np
import pytest
from helpers import LABELS, make_point, write_set
from sounds import RATE, by_pyav, by_pyav_file, encode, le, noise, put, unknown_length

from wsedtk import audio, datadir, operating_point, sound_file
from wsedtk.corpora import soundscapes, youtube
from wsedtk.errors import InputError

# --- by PyAV ---


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
def test_other_formats_that_break_off(hear, tmp_path, format_name, codec):
    whole = by_pyav_file(tmp_path, noise(6 * RATE), RATE, format_name, codec)
    found, _, remarks = hear(whole[: len(whole) // 2])
    assert 2.5 * RATE < len(found) <= 3.1 * RATE
    np.testing.assert_array_equal(found, hear(whole)[0][: len(found)])
    heard = sound_file.shown_seconds(len(found) / RATE)
    assert remarks == [f"breaks off after {heard} {'s' if codec == 'aac' else 'of 6 s'}"]


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
    assert (len(found), remarks) == (num_heard, [])


def test_an_mp4_that_breaks_off(hear, tmp_path):
    """Its index is at the front."""
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
    """What follows keeps its time."""
    samples = noise(4 * RATE)
    content = by_pyav_file(
        tmp_path, samples, RATE, "matroska", "pcm_s16le", start_seconds=(0.0, 5.0)
    )
    found, _, remarks = hear(content)
    assert len(found) == 7 * RATE and not found[2 * RATE : 5 * RATE].any()
    np.testing.assert_allclose(found[5 * RATE :], samples[2 * RATE :, 0], atol=1e-4)
    assert remarks == ["lacks 3.0 s, the first after 2.0 s; silence replaces them"]


def test_the_first_of_several_tracks_is_heard(hear, tmp_path):
    content = by_pyav_file(tmp_path, noise(RATE), RATE, "matroska", "pcm_s16le", tracks=2)
    found, _, remarks = hear(content)
    np.testing.assert_allclose(found, noise(RATE)[:, 0], atol=1e-4)
    assert remarks == ["holds 2 audio tracks; only the first is heard"]


def test_a_picture_beside_the_sound(hear, tmp_path):
    """As the cover in an m4a file, or a film."""
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
    """Whatever their name says, and where they begin like a frame."""
    for i, name in enumerate(NAMES):
        path = tmp_path / f"x.{name}"
        path.write_bytes(start + np.random.default_rng(i).bytes(20000))
        with pytest.raises(InputError, match=f"x.{name}: can't be read as sound"):
            audio.read(path)
    assert capfd.readouterr() == ("", "")


# --- channels that cancel each other ---


def antiphase(seconds=1.0, offset=0.0, scale=1.0):
    """Two channels, of which one is the negative of the other, up to a scale; and an offset."""
    tone = 0.3 * np.sin(np.arange(round(seconds * RATE)))
    return np.stack([tone, -scale * tone], axis=1) + offset


@pytest.mark.parametrize(
    "samples, weaker",
    [
        (antiphase(), "silent"),
        (antiphase(scale=0.99), "46 dB weaker"),
        (antiphase(scale=0.97), None),
        (antiphase(offset=0.1), "silent"),
        (antiphase(offset=0.1, scale=0.99), "46 dB weaker"),
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
    """By more than 40 dB; a constant is no sound, and what is below -80 dB is none."""
    *_, remarks = hear(encode(samples, "WAV", "FLOAT"))
    found = [re.search("their mean is (.*);", remark).group(1) for remark in remarks]
    assert found == ([weaker] if weaker else [])


# --- every verb ---


@pytest.fixture
def model(trained, tmp_path):
    """A trained model with an operating point."""
    point = make_point(labels=LABELS, frame_thresholds=np.array([0.5, 0.5]))
    operating_point.write(tmp_path / "point.yaml", point)
    return [trained, "--operating-point", tmp_path / "point.yaml"]


def test_every_verb_tells_the_same(run, model, tmp_path):
    """And uses each of the files: `detect`, `extract` and `validate`, in one process or more."""
    flac, wav = encode(noise(5 * RATE), "FLAC"), encode(noise(4 * RATE))
    mp3 = encode(noise(3 * RATE), "MP3")
    contents = {
        "half.mp3": (mp3[: len(mp3) // 2], "breaks off after 1."),
        "x.m4a": (by_pyav_file(tmp_path, noise(2 * RATE), RATE, "ipod", "alac"), None),
        "cut.flac": (flac[: len(flac) // 2], "breaks off after 2."),
        "open.wav": (
            put(wav, (b"RIFF", 4, le(36)), (b"data", 4, bytes(4))),
            "was never closed; heard: 4 s",
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
    lengths = {name: audio.info(tmp_path / "audio" / name).duration for name in contents}
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


def test_prepare_remarks_on_faulty_files(tmp_path, capsys):
    """In coverage.tsv, and of a sound bank on the screen."""
    name, path = "abcdefghijk_0.000_1.000.wav", tmp_path / "1-a-A.wav"
    path.write_bytes(encode(noise(RATE), "WAV", "PCM_16")[:-8000])
    data = datadir.read(write_set(tmp_path / "set", [(name, "", 1)], ["x"], [(name, "x")]))
    covered = youtube.cover(data, np.array([name]), datadir.path_array([str(path)]), {}, 1)
    assert covered.remarks == {0: "short: lasts 0.750 s; breaks off after 0.75 of 1 s"}
    assert covered.is_true["used"].all()
    pool = soundscapes.Pool({"x": [soundscapes.Recording(path, "x", 1, "a")]}, [])
    assert len(soundscapes.load([pool], RATE)[path]) == 1
    assert f"warning: {path}: breaks off after 0.75 of 1 s" in capsys.readouterr().err
