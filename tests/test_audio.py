import librosa
import numpy as np
import pytest
import soundfile

from wsedtk import audio
from wsedtk.errors import InputError

RATE = 16000


def noise(num_samples=RATE, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (num_samples, channels))


def tone(seconds=1.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 1900 * t)


@pytest.mark.parametrize("format_name, tolerance", [("WAV", 1 / 32768), ("FLAC", 1 / 32768), ("OGG", 0.05), ("MP3", 0.05)])
@pytest.mark.parametrize("name", ["a.wav", "-rf 'x'.flac", "clip", "音 é.ogg", "x.mp3"])
def test_formats_are_told_by_content(tmp_path, format_name, tolerance, name):
    path = tmp_path / name
    soundfile.write(path, tone(), RATE, format=format_name)
    samples, rate = audio.read(path)
    assert rate == RATE and samples.dtype == np.float32 and samples.shape == (RATE,)
    np.testing.assert_allclose(samples, tone(), atol=tolerance)
    assert audio.info(path) == audio.AudioInfo(RATE, 1, 1.0)


@pytest.mark.parametrize("name", ["-", "-x.wav", "--", "~", "a b.wav"])
def test_names_without_a_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "made.wav", noise(), RATE)
    (tmp_path / "made.wav").rename(tmp_path / name)
    assert len(audio.read(name)[0]) == RATE


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_mono_is_the_mean_of_the_channels(tmp_path, channels):
    samples = noise(channels=channels).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], samples.mean(axis=1), atol=1e-7)
    assert audio.info(tmp_path / "a.wav").num_channels == channels


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_full_scale_is_one(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", np.array([0, 0.5, -0.5, -1.0]), RATE, subtype=subtype)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], [0, 0.5, -0.5, -1.0], atol=0.025)


@pytest.mark.filterwarnings("ignore:.*deprecated and slated for removal:DeprecationWarning")  # of what librosa.load imports
@pytest.mark.parametrize("source, target", [(8000, 16000), (48000, 16000), (44100, 16000), (16000, 44100), (11025, 16000)])
def test_resampling_is_librosas(tmp_path, source, target):
    soundfile.write(tmp_path / "a.wav", tone(0.5, source), source, subtype="FLOAT")
    samples, rate = audio.read(tmp_path / "a.wav", target)
    theirs, _ = librosa.load(tmp_path / "a.wav", sr=target)
    assert rate == target and samples.dtype == np.float32
    np.testing.assert_array_equal(samples, theirs)
    middle = slice(target // 10, -target // 10)  # away from the ends: the same tone, whatever made it
    np.testing.assert_allclose(samples[middle], tone(0.5, target)[:len(samples)][middle], atol=1e-3)


@pytest.mark.parametrize("source", [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000])
def test_resampled_seconds_stay_whole(source):
    for target in (16000, 44100):
        for seconds in (1, 3):
            assert len(audio.resample(np.zeros(seconds * source, np.float32), source, target)) == seconds * target


def test_the_own_rate_is_kept(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(500), 22050)
    assert audio.read(tmp_path / "a.wav")[1] == 22050
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav")[0], audio.read(tmp_path / "a.wav", 22050)[0])


def test_one_sample(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.5], 48000)
    assert len(audio.read(tmp_path / "a.wav", 16000)[0]) == 1


def put(folder, kind):
    """Make a faulty file of the kind."""
    path = folder / f"{kind}.wav"
    made = folder / "made.tmp"
    soundfile.write(made, noise(), RATE, format={"half flac": "FLAC", "half ogg": "OGG"}.get(kind, "WAV"), subtype=(
        "FLOAT" if kind in ("nan", "infinite") else None))
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
        path.write_bytes({"empty": b"", "text": b"not a sound\n" * 50, "head": content[:30]}.get(kind, content[:len(content) // 2]))
    return path


@pytest.mark.parametrize("kind, message", [
    ("missing", "no such file"),
    ("folder", "a folder, not a sound file"),
    ("empty", "an empty file"),
    ("text", "can't be read as sound"),
    ("head", "can't be read as sound"),
    ("half flac", "broken sound file"),
    ("half ogg", "broken sound file|holds no samples|can't be read"),
    ("no samples", "holds no samples"),
    ("nan", "holds samples that are not finite"),
    ("infinite", "holds samples that are not finite"),
])
def test_faults(tmp_path, kind, message):
    path = put(tmp_path, kind)
    with pytest.raises(InputError, match=rf"{path}: ({message})"):
        audio.read(path, 8000)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "head"])
def test_faults_of_the_header(tmp_path, kind):
    with pytest.raises(InputError, match=kind if kind in ("missing", "folder", "empty") else "can't be read as sound"):
        audio.info(put(tmp_path, kind))


def test_a_wav_cut_short_gives_what_is_there(tmp_path):
    samples, _ = audio.read(put(tmp_path, "half wav"))
    np.testing.assert_allclose(samples, noise()[:len(samples), 0], atol=1e-4)
    assert 0.4 * RATE < len(samples) < 0.5 * RATE


@pytest.mark.parametrize("path", ["x" * 5000, "x" * 300 + ".wav", "a/\0.wav", "a.raw"])
def test_impossible_names(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    (tmp_path / "a.wav").rename(tmp_path / "a.raw")
    with pytest.raises(InputError, match="no such file|can't be read as sound"):
        audio.read(path)


@pytest.mark.parametrize("name", ["a.wav", "b.flac", "-c d.wav"])
def test_writing(tmp_path, name):
    samples = noise(777)[:, 0]
    audio.write(tmp_path / "new" / name, samples, 8000)
    found, rate = audio.read(tmp_path / "new" / name)
    assert rate == 8000 and soundfile.info(tmp_path / "new" / name).subtype == "PCM_16"
    np.testing.assert_allclose(found, samples, atol=1 / 32768)


def test_writing_clips_and_does_not_wrap(tmp_path):
    audio.write(tmp_path / "a.wav", np.array([2.0, -2.0]), 8000)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], [1, -1], atol=1e-4)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="format"):
        audio.write(tmp_path / "a.txt", noise(10)[:, 0], 8000)
    assert list(tmp_path.iterdir()) == []
