import os

import librosa
import numpy as np
import pytest
import soundfile

from wsedtk.audio import audio_files, sound_file
from wsedtk.core.errors import InputError

RATE = 16000


def noise(num_samples=RATE, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (num_samples, channels))


def tone(seconds=1.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 1900 * t)


@pytest.mark.parametrize(
    "format_name, tolerance",
    [("WAV", 1 / 32768), ("FLAC", 1 / 32768), ("OGG", 0.05), ("MP3", 0.05)],
)
@pytest.mark.parametrize(
    "name", ["a.wav", "-rf 'x'.flac", "clip", "音 é.ogg", "x.mp3", "x.raw", "x.au", "x.gsm"]
)
def test_formats_are_reported_by_content(tmp_path, format_name, tolerance, name):
    path = tmp_path / name
    soundfile.write(path, tone(), RATE, format=format_name)
    samples, rate = audio_files.read(path)
    assert rate == RATE and samples.dtype == np.float32 and samples.shape == (RATE,)
    np.testing.assert_allclose(samples, tone(), atol=tolerance)
    assert audio_files.info(path) == audio_files.AudioInfo(RATE, 1, 1.0)


@pytest.mark.parametrize("name", ["-", "-x.wav", "--", "~", "a b.wav"])
def test_names_without_a_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "made.wav", noise(), RATE)
    (tmp_path / "made.wav").rename(tmp_path / name)
    assert len(audio_files.read(name)[0]) == RATE


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_mono_is_the_mean_of_the_channels(tmp_path, channels):
    samples = noise(channels=channels).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_allclose(
        audio_files.read(tmp_path / "a.wav")[0], samples.mean(axis=1), atol=1e-7
    )
    assert audio_files.info(tmp_path / "a.wav").num_channels == channels


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"]
)
def test_full_scale_is_one(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", np.array([0, 0.5, -0.5, -1.0]), RATE, subtype=subtype)
    np.testing.assert_allclose(
        audio_files.read(tmp_path / "a.wav")[0], [0, 0.5, -0.5, -1.0], atol=0.025
    )


@pytest.mark.filterwarnings(
    "ignore:.*deprecated and slated for removal:DeprecationWarning"
)  # from the imports of librosa.load
@pytest.mark.parametrize(
    "source, target",
    [(8000, 16000), (48000, 16000), (44100, 16000), (16000, 44100), (11025, 16000)],
)
def test_resampling_is_librosas(tmp_path, source, target):
    soundfile.write(tmp_path / "a.wav", tone(0.5, source), source, subtype="FLOAT")
    samples, rate = audio_files.read(tmp_path / "a.wav", target)
    theirs, _ = librosa.load(tmp_path / "a.wav", sr=target)
    assert rate == target and samples.dtype == np.float32
    np.testing.assert_array_equal(samples, theirs)
    middle = slice(
        target // 10, -target // 10
    )  # away from the ends, all formats give the same tone
    np.testing.assert_allclose(
        samples[middle], tone(0.5, target)[: len(samples)][middle], atol=1e-3
    )


@pytest.mark.parametrize("source", [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000])
def test_resampled_seconds_stay_whole(source):
    for target in (16000, 44100):
        for seconds in (1, 3):
            assert (
                len(audio_files.resample(np.zeros(seconds * source, np.float32), source, target))
                == seconds * target
            )


def test_the_own_rate_is_kept(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(500), 22050)
    assert audio_files.read(tmp_path / "a.wav")[1] == 22050
    np.testing.assert_array_equal(
        audio_files.read(tmp_path / "a.wav")[0], audio_files.read(tmp_path / "a.wav", 22050)[0]
    )


def test_one_sample(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.5], 48000)
    assert len(audio_files.read(tmp_path / "a.wav", 16000)[0]) == 1


def put(folder, kind):
    """Write a faulty file of this kind."""
    path = folder / f"{kind}.wav"
    made = folder / "made.tmp"
    soundfile.write(made, noise(), RATE, format="WAV")
    content = made.read_bytes()
    if kind == "folder":
        path.mkdir()
    elif kind in ("nan", "infinite"):
        samples = noise()
        samples[77] = np.nan if kind == "nan" else np.inf
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    elif kind == "no samples":
        soundfile.write(path, noise(0), RATE)
    elif kind != "missing":
        path.write_bytes(
            {"empty": b"", "text": b"not a sound\n" * 50, "head": content[:30]}.get(
                kind, content[: len(content) // 2]
            )
        )
    return path


@pytest.mark.parametrize(
    "kind, message",
    [
        ("missing", "no such file"),
        ("folder", "is a folder, not a sound file"),
        ("empty", "is an empty file"),
        ("text", "can't be read as sound"),
        ("head", "can't be read as sound"),
        ("no samples", "contains no samples"),
        ("nan", "contains samples that are not finite"),
        ("infinite", "contains samples that are not finite"),
    ],
)
def test_faults(tmp_path, kind, message):
    path = put(tmp_path, kind)
    with pytest.raises(InputError, match=rf"{path}: ({message})"):
        audio_files.read(path, 8000)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "head"])
def test_faults_of_the_header(tmp_path, kind):
    with pytest.raises(
        InputError,
        match=kind if kind in ("missing", "folder", "empty") else "can't be read as sound",
    ):
        audio_files.info(put(tmp_path, kind))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    for function in (audio_files.read, audio_files.info):
        with pytest.raises(
            InputError, match="a.wav: is a pipe, socket or device, not a sound file"
        ):
            function(tmp_path / "a.wav")
    with pytest.raises(InputError, match="/dev/zero: is a pipe, socket or device"):
        audio_files.read("/dev/zero")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")  # root is never refused

    path = put(tmp_path, "half wav")
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match=r"can't be read as sound \(Permission denied\)"):
        audio_files.read(path)


@pytest.mark.parametrize(
    "rate, good",
    [(99, False), (100, True), (1_000_000, True), (1_000_001, False), (2**31 - 1, False)],
)
def test_impossible_rates(tmp_path, rate, good):
    soundfile.write(tmp_path / "a.wav", noise(500), rate)
    if good:
        assert (
            audio_files.info(tmp_path / "a.wav").sample_rate
            == audio_files.read(tmp_path / "a.wav")[1]
            == rate
        )
    else:
        with pytest.raises(
            InputError,
            match=f"a.wav: the sample rate is {rate} Hz; expected 100 to 1000000 Hz",
        ):
            audio_files.read(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "value, message",
    [
        (2.0**32, None),
        (-(2.0**33), r"beyond 4.29497e\+09, which can't be sound"),
        (3e38, "beyond"),
        (1e300, "not finite"),
        (-np.inf, "not finite"),
    ],
)
def test_samples_that_are_not_finite(tmp_path, value, message):
    """The mean of two channels near the largest float is finite, without a warning."""
    soundfile.write(tmp_path / "a.wav", np.full((4, 2), value), RATE, subtype="DOUBLE")
    if message is None:
        assert audio_files.read(tmp_path / "a.wav")[0].tolist() == [value] * 4
    else:
        with pytest.raises(InputError, match=f"a.wav: contains samples .*{message}"):
            audio_files.read(tmp_path / "a.wav")


@pytest.fixture
def encoded(tmp_path):
    """Write two channels of 2 s, a tone and noise, in a format; return the path."""

    def encoded(format_name, rate=44100):
        samples = np.stack([tone(2, rate), noise(2 * rate)[:, 0]], 1)
        with soundfile.SoundFile(tmp_path / format_name, "w", rate, 2, format=format_name) as file:
            for start in range(
                0, len(samples), 8000
            ):  # its Vorbis encoder overflows the stack if it gets many samples at once
                file.write(samples[start : start + 8000])
        return tmp_path / format_name

    return encoded


@pytest.mark.parametrize("format_name", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "W64"])
def test_blocks_make_no_difference(encoded, monkeypatch, format_name):
    path = encoded(format_name)
    whole, examined = audio_files.read(path)[0], audio_files.examine(path)
    monkeypatch.setattr(sound_file, "_BLOCK", 10_007)
    np.testing.assert_array_equal(audio_files.read(path)[0], whole)
    np.testing.assert_array_equal(audio_files.read(path, max_seconds=0.7)[0], whole[:30870])
    assert audio_files.examine(path) == examined and examined.duration == len(whole) / 44100 == 2


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_a_limit_leaves_the_beginning_as_it_is(encoded, rate):
    """It also holds after resampling, except in the last second, which needs later samples."""
    path = encoded("WAV", rate)
    np.testing.assert_array_equal(
        audio_files.read(path, RATE, max_seconds=1.5)[0][: RATE // 2],
        audio_files.read(path, RATE)[0][: RATE // 2],
    )
    np.testing.assert_array_equal(
        audio_files.read(path, RATE, max_seconds=2)[0], audio_files.read(path, RATE)[0]
    )
    assert len(audio_files.read(path, max_seconds=0.5)[0]) == np.ceil(rate / 2)


def test_no_more_is_decoded_than_the_limit(encoded):
    """Damage after the limit is not noticed."""
    path, remarks = encoded("FLAC"), []
    path.write_bytes(path.read_bytes()[:-1000])
    assert len(audio_files.read(path, max_seconds=1, remarks=remarks)[0]) == 44100 and remarks == []
    assert 44100 < len(audio_files.read(path, remarks=remarks)[0]) < 2 * 44100
    assert remarks[0].startswith("breaks off after 1.")


def test_an_examination(tmp_path):
    samples = np.zeros((1000, 2), np.int16)
    samples[:, 0], samples[:50, 1], samples[7, 1] = 8192, 32740, -32768
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    soundfile.write(tmp_path / "a.flac", samples, 8000)
    soundfile.write(tmp_path / "b.wav", samples, 8001)
    found, same, other = (
        audio_files.examine(tmp_path / name) for name in ("a.wav", "a.flac", "b.wav")
    )
    assert found == same and found.content != other.content
    assert (found.duration, found.sample_rate, found.is_silent, found.peak, found.full_scale) == (
        0.125,
        8000,
        False,
        1.0,
        50 / 2000,
    )
    soundfile.write(tmp_path / "c.wav", np.tile([0.5, -0.5], (100, 1)), 8000)
    assert (
        audio_files.examine(tmp_path / "c.wav").is_silent
        and audio_files.examine(tmp_path / "c.wav").peak == 0.5
    )
    assert "c.mp3: no such file" in audio_files.examine(tmp_path / "c.mp3").fault


def test_a_wav_cut_short_gives_what_is_there(tmp_path):
    samples, _ = audio_files.read(put(tmp_path, "half wav"))
    np.testing.assert_allclose(samples, noise()[: len(samples), 0], atol=1e-4)
    assert 0.4 * RATE < len(samples) < 0.5 * RATE


@pytest.mark.parametrize("path", ["x" * 5000, "x" * 300 + ".wav", "a/\0.wav", "a.wav/b.wav"])
def test_impossible_names(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    with pytest.raises(InputError, match="no such file|can't be read as sound"):
        audio_files.read(path)


@pytest.mark.parametrize("name", ["a.wav", "b.flac", "-c d.wav"])
def test_writing(tmp_path, name):
    samples = noise(777)[:, 0]
    audio_files.write(tmp_path / "new" / name, samples, 8000)
    found, rate = audio_files.read(tmp_path / "new" / name)
    assert rate == 8000 and soundfile.info(tmp_path / "new" / name).subtype == "PCM_16"
    np.testing.assert_allclose(found, samples, atol=1 / 32768)


def test_writing_clips_and_does_not_wrap(tmp_path):
    audio_files.write(tmp_path / "a.wav", np.array([2.0, -2.0]), 8000)
    np.testing.assert_allclose(audio_files.read(tmp_path / "a.wav")[0], [1, -1], atol=1e-4)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="format"):
        audio_files.write(tmp_path / "a.txt", noise(10)[:, 0], 8000)
    assert list(tmp_path.iterdir()) == []
