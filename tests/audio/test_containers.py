"""Containers: all samples of chained, joined, unclosed, truncated and damaged files are read."""

import io
import re

import av
import numpy as np
import pytest
import soundfile
from helpers import write_by_pyav
from sounds import RATE, be, by_pyav, chunk, encode, le, mp3, noise, put, unknown_length

from wsedtk.audio import audio_files, sound_file
from wsedtk.audio.containers import flac
from wsedtk.core.errors import InputError
from wsedtk.inference import recordings


def test_only_flac_streams_before_the_limit_are_found():
    stream = encode(noise(), "FLAC", "PCM_16")
    file = io.BytesIO(bytes(100) + stream)
    found = [flac.next_stream(file, 0, size) for size in (50, 100, 101, 5000)]
    assert found == [None, None, 100, 100]


# --- headers that were never closed ---

PLACEHOLDERS = (0, -1, -37, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 36, 4052)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8", "ULAW", "IMA_ADPCM"])
@pytest.mark.parametrize("riff", [0, 8, 36, 4088, -1])
def test_a_wav_without_its_sizes(hear, subtype, riff):
    whole = encode(noise(), "WAV", subtype)
    expected = hear(whole)[0]
    for size in PLACEHOLDERS:
        found, rate, remarks = hear(put(whole, (b"RIFF", 4, le(riff)), (b"data", 4, le(size))))
        np.testing.assert_array_equal(found, expected)
        assert rate == RATE and remarks == ["was never closed; decoded: 1 s"]


@pytest.mark.parametrize(
    "format_name, fields",
    [
        *(("RF64", [(b"ds64", 16, le(size, 8))]) for size in (0, -1, 1 << 62, 0x7FFFFFFFFFFFFFFF)),
        *(("W64", [(b"data", 16, le(size, 8))]) for size in (0, 24, -1, 1 << 62)),
        ("W64", [(b"riff", 16, bytes(8)), (b"data", 16, bytes(8))]),
        *(("AIFF", [(b"SSND", 4, be(size))]) for size in (0, 8, 36, -1, 0x7FFFFFFF)),
        ("AIFF", [(b"FORM", 4, bytes(4)), (b"SSND", 4, bytes(4)), (b"COMM", 10, bytes(4))]),
        *(("AU", [(b".snd", 8, be(size))]) for size in (0, 0x7FFFFFFF)),
        *(("CAF", [(b"data", 4, be(size, 8))]) for size in (0, 4, 1 << 62)),
    ],
)
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_other_containers_without_their_sizes(hear, format_name, fields, subtype):
    whole = encode(noise(), format_name, subtype)
    found, rate, remarks = hear(put(whole, *fields))
    np.testing.assert_array_equal(found, hear(whole)[0])
    assert rate == RATE and remarks == ["was never closed; decoded: 1 s"]


@pytest.mark.parametrize(
    "format_name, field", [("AU", (b".snd", 8, be(-1))), ("CAF", (b"data", 4, be(-1, 8)))]
)
def test_a_permitted_unknown_length(hear, format_name, field):
    whole = encode(noise(), format_name)
    found, _, remarks = hear(put(whole, field))
    np.testing.assert_array_equal(found, hear(whole)[0])
    assert remarks == []


@pytest.mark.parametrize("format_name", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF"])
def test_files_that_libsndfile_did_not_close(hear, tmp_path, format_name):
    samples = noise()
    with soundfile.SoundFile(
        tmp_path / "open", "w", RATE, 1, format=format_name, subtype="PCM_24"
    ) as file:
        file.write(samples)
        content = (tmp_path / "open").read_bytes()
    found, _, remarks = hear(content)
    np.testing.assert_allclose(found, samples[:, 0], atol=2**-23)
    assert remarks == ["was never closed; decoded: 1 s"]


@pytest.mark.parametrize(
    "format_name, codec",
    [
        ("wav", "pcm_s16le"),
        ("wav", "pcm_f32le"),
        ("w64", "pcm_s16le"),
        ("aiff", "pcm_s16be"),
        ("au", "pcm_s16be"),
        ("caf", "pcm_s16be"),
        ("flac", "flac"),
        ("ogg", "flac"),
    ],
)
def test_what_ffmpeg_writes_into_a_pipe(hear, tmp_path, format_name, codec):
    """RF64 has other placeholders. AU, CAF, FLAC and Ogg permit placeholders."""
    samples, fifo = noise(), tmp_path / "fifo"
    write_by_pyav(tmp_path / "whole", samples, RATE, format_name, codec)

    class Pipe(io.RawIOBase):
        content = b""

        def writable(self):
            return True

        def write(self, data):
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with av.open(pipe, "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        with av.open(str(tmp_path / "whole")) as source:
            for frame in source.decode(audio=0):
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert not fifo.exists()
    found, _, remarks = hear(pipe.content)
    np.testing.assert_allclose(found, samples[:, 0], atol=2**-15)
    assert remarks == (
        [] if format_name in ("au", "caf", "flac", "ogg") else ["was never closed; decoded: 1 s"]
    )


@pytest.mark.parametrize("num_samples", [1, 999, 1000])
@pytest.mark.parametrize("padded", [True, False])
def test_a_chunk_after_the_samples_is_no_sound(hear, num_samples, padded):
    """The chunk may follow an odd number of bytes, with or without a byte of padding."""
    whole = encode(noise(num_samples), "WAV", "PCM_U8")
    head = whole[:44] + whole[44 : 44 + num_samples] + b"\0" * (num_samples % 2 if padded else 0)
    for tail in (
        chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0"),
        chunk(b"LIST", bytes(500))[:300],
        chunk(b"odd ", bytes(7)) + chunk(b"id3 ", b"x" * 99),
    ):
        found, _, remarks = hear(put(head + tail, (b"RIFF", 4, le(len(head + tail) - 8))))
        np.testing.assert_array_equal(found, hear(whole)[0])
        assert remarks == []


def test_an_empty_wav_with_chunks_behind_is_empty(hear):
    empty = encode(noise(0))
    for tail in (
        b"",
        chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0"),
        chunk(b"LIST", bytes(500)) + chunk(b"bext", bytes(602)),
        b"\0" * 7,
    ):
        with pytest.raises(InputError, match="x.wav: contains no samples"):
            hear(empty + tail)


def test_bytes_after_the_end_are_reported_and_skipped(hear):
    whole = encode(noise())
    found, _, remarks = hear(whole + b"\xfe\x01\x80\x02" * 2000)
    np.testing.assert_array_equal(found, hear(whole)[0])
    assert remarks == [
        "has 8000 bytes after the announced samples; these bytes are ignored; decoded: 1 s"
    ]


@pytest.mark.parametrize("format_name", ["AIFF", "AU", "CAF", "W64"])
def test_a_second_file_after_the_end_is_reported_and_skipped(hear, format_name):
    content = encode(noise(), format_name)
    found, _, remarks = hear(2 * content)
    np.testing.assert_array_equal(found, hear(content)[0])
    (remark,) = remarks
    assert re.fullmatch(
        r"has \d+ bytes after the announced samples; these bytes are ignored; decoded: 1 s", remark
    )


@pytest.mark.parametrize("excess", [36, 44])
def test_the_size_of_the_file_in_place_of_that_of_the_samples(hear, excess):
    content = encode(noise())
    found, _, remarks = hear(put(content, (b"data", 4, le(2 * RATE + excess))))
    assert (len(found), remarks) == (RATE, [])


def test_more_than_32_bits_of_size(tmp_path):
    """A sparse file of 5 GB; the header counts modulo 4 GB."""
    with open(tmp_path / "x.wav", "wb") as file:
        file.write(
            put(encode(noise(1)), (b"data", 4, le(5 << 30)), (b"RIFF", 4, le((5 << 30) + 36)))
        )
        file.truncate((5 << 30) + 44)
    assert audio_files.info(tmp_path / "x.wav").duration == (5 << 30) / 2 / RATE
    (tmp_path / "x.wav").unlink()


# --- truncated files ---


@pytest.mark.parametrize(
    "format_name, header",
    [("WAV", 44), ("RF64", 104), ("W64", 104), ("AIFF", 54), ("AU", 24), ("CAF", 4096)],
)
def test_truncated_samples(hear, format_name, header):
    whole = encode(noise(2 * RATE), format_name, "PCM_16")
    found, _, remarks = hear(whole[: header + 2 * 12000])
    np.testing.assert_array_equal(found, hear(whole)[0][:12000])
    assert remarks == ["breaks off after 0.75 of 2 s"]


@pytest.mark.parametrize(
    "format_name, field, order",
    [("WAV", (b"data", 4), le), ("AIFF", (b"SSND", 4), be), ("AU", (b".snd", 8), be)],
)
def test_a_size_that_is_one_byte_too_large(hear, format_name, field, order):
    whole = encode(noise(), format_name, "PCM_16")
    size = 2 * RATE + (8 if format_name == "AIFF" else 0) + 1
    found, _, remarks = hear(put(whole, (*field, order(size))))
    np.testing.assert_array_equal(found, hear(whole)[0])
    assert remarks == []


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("share", [0.3, 0.74, 0.99])
def test_a_truncated_flac(hear, subtype, share):
    """The file is read up to its last whole frame, for any size of block."""
    whole = encode(noise(5 * RATE), "FLAC", subtype)
    content = whole[: round(share * len(whole))]
    found, _, remarks = hear(content)
    assert len(found) == by_pyav(content) and len(found) % 4096 == 0
    np.testing.assert_array_equal(found, hear(whole)[0][: len(found)])
    assert remarks == [f"breaks off after {sound_file.shown_seconds(len(found) / RATE)} of 5 s"]


def test_a_damaged_flac_is_read_up_to_the_damage(hear):
    whole = encode(noise(5 * RATE), "FLAC")
    content = bytearray(whole)
    content[len(content) // 2] ^= 16
    found, _, remarks = hear(bytes(content), is_told=False)
    assert 2 * RATE < len(found) < 3 * RATE and len(found) % 4096 == 0
    np.testing.assert_array_equal(found, hear(whole)[0][: len(found)])
    assert re.fullmatch(r"breaks off after 2.\d of 5 s", remarks[0]) and len(remarks) == 1


@pytest.mark.parametrize("num_bytes", [4, 30, 41, 42, 100])
def test_a_flac_without_a_frame_is_no_sound(hear, num_bytes):
    with pytest.raises(
        InputError,
        match="x.flac: (can't be read as sound|no samples can be decoded|contains no samples)",
    ):
        hear(encode(noise(), "FLAC")[:num_bytes], "x.flac")


def test_a_flac_of_unknown_length(hear):
    whole = encode(noise(3 * RATE), "FLAC")
    found, _, remarks = hear(unknown_length(whole))
    np.testing.assert_array_equal(found, hear(whole)[0])
    assert remarks == [] and len(found) == by_pyav(unknown_length(whole))
    found, _, remarks = hear(unknown_length(whole)[: len(whole) // 2])
    assert (
        remarks == [f"breaks off after {sound_file.shown_seconds(len(found) / RATE)} s"]
        and len(found) > RATE
    )


def flac_total(content, num_samples):
    """Return a FLAC file that declares another number of samples."""
    place = content.index(b"fLaC") + 21
    total = bytes([content[place] & 0xF0 | num_samples >> 32]) + be(num_samples, 4)
    return content[:place] + total + content[place + 5 :]


@pytest.mark.parametrize("prefix", [b"", b"ID3\4\0\0\0\0\0\12" + bytes(10)])
def test_a_flac_that_is_longer_than_it_announces(hear, tmp_path, prefix):
    content = encode(noise(10 * RATE), "FLAC")
    found, _, remarks = hear(prefix + flac_total(content, 3 * RATE))
    np.testing.assert_array_equal(found, hear(content)[0])
    assert remarks == ["is longer than its header announces"]
    (tmp_path / "x.flac").write_bytes(prefix + flac_total(content, 3 * RATE))
    assert audio_files.info(tmp_path / "x.flac").duration == 10
    garbage = np.random.default_rng(0).bytes(50_000)
    assert hear(content + garbage)[2] == [] and len(hear(content + garbage)[0]) == 10 * RATE
    longer, _, remarks = hear(prefix + flac_total(content, 3 * RATE) + garbage)
    np.testing.assert_array_equal(longer, found)
    assert remarks == ["is longer than its header announces", "breaks off after 10 s"]


def test_the_largest_length_of_a_flac_is_a_placeholder(hear):
    found, _, remarks = hear(flac_total(encode(noise(), "FLAC"), (1 << 36) - 1))
    assert (len(found), remarks) == (RATE, [])


def test_damage_after_the_limit_is_not_reported(tmp_path):
    """The limit is before the damage."""
    content = encode(noise(5 * RATE), "FLAC")
    (tmp_path / "x.flac").write_bytes(content[: len(content) // 2])
    remarks = []
    assert (
        len(audio_files.read(tmp_path / "x.flac", max_seconds=1, remarks=remarks)[0]) == RATE
        and remarks == []
    )


# --- several recordings in one file ---


def test_joined_wavs(hear):
    """No program that reads WAV plays the second file, but its sound is in the file."""
    first, second = noise(RATE, 1), noise(2 * RATE, 2)
    tail = chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0")
    for between in (b"", tail):
        found, _, remarks = hear(encode(first) + between + encode(second))
        np.testing.assert_array_equal(
            found, np.concatenate([hear(encode(first))[0], hear(encode(second))[0]])
        )
        assert remarks == ["is a concatenation of 2 files; decoded: 3 s"]
    found, _, remarks = hear(encode(noise(0)) + encode(first))
    assert len(found) == RATE
    found, _, remarks = hear(encode(first) + encode(second)[:-RATE])
    assert remarks == [
        "breaks off after 2.5 of 3 s",
        "is a concatenation of 2 files; decoded: 2.5 s",
    ]


def test_a_wav_before_the_header_of_another(hear):
    """The second file breaks off before its samples."""
    whole = encode(noise())
    found, rate, remarks = hear(whole + whole[:30])
    np.testing.assert_array_equal(found, hear(whole)[0])
    assert rate == RATE and remarks == []


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("num_samples", [RATE, 3 * RATE])
def test_joined_flacs(hear, tmp_path, unknown, num_samples):
    change = unknown_length if unknown else bytes
    files = [change(encode(noise(n, i), "FLAC")) for i, n in enumerate((RATE, num_samples, 100))]
    expected = np.concatenate([hear(content)[0] for content in files])
    (tmp_path / "joined.flac").write_bytes(b"".join(files))
    remarks = []
    found, _ = audio_files.read(tmp_path / "joined.flac", remarks=remarks)
    np.testing.assert_array_equal(found, expected)
    assert remarks == [
        f"is a concatenation of 3 files; decoded: {sound_file.shown_seconds(len(found) / RATE)} s"
    ]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg(hear, subtype):
    """RFC 3533 permits this. One file twice has equal serial numbers."""
    files = [encode(noise(n, i), "OGG", subtype) for i, n in enumerate((RATE, 2 * RATE, 700))]
    found, _, remarks = hear(b"".join([*files, files[0]]))
    np.testing.assert_array_equal(
        found, np.concatenate([hear(content)[0] for content in [*files, files[0]]])
    )
    assert remarks == [] and len(found) == 4 * RATE + 700


@pytest.mark.parametrize("between", [b"\n", bytes(1 << 17)])
def test_chained_ogg_with_other_bytes_between(hear, between):
    one, other = (encode(noise(RATE, seed), "OGG") for seed in (0, 1))
    expected = np.concatenate([hear(one)[0], hear(other)[0]])
    found, _, remarks = hear(one + between + other)
    np.testing.assert_array_equal(found, expected)
    assert remarks == []


def test_an_ogg_without_its_end_has_no_length(hear):
    content = encode(noise(20 * RATE), "OGG")
    found, _, remarks = hear(content[: len(content) * 6 // 10])
    assert remarks == [f"breaks off after {sound_file.shown_seconds(len(found) / RATE)} s"]


def test_chained_flac_in_ogg(hear, tmp_path):
    for i in range(2):
        write_by_pyav(tmp_path / f"{i}.ogg", noise(RATE, i), RATE, "ogg", "flac")
    files = [(tmp_path / f"{i}.ogg").read_bytes() for i in range(2)]
    found, _, remarks = hear(b"".join(files))
    np.testing.assert_array_equal(found, np.concatenate([hear(content)[0] for content in files]))
    assert remarks == [] and len(found) == 2 * RATE


@pytest.mark.parametrize("format_name", ["OGG", "WAV", "MP3", "FLAC"])
def test_a_change_of_the_rate_or_the_channels_is_reported(tmp_path, format_name):
    """Later parts are read with the rate and the channels of the first part."""
    tones = [0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate) for rate in (RATE, 44100)]
    stereo = np.stack([tones[1], tones[1]], axis=1)
    (tmp_path / "x").write_bytes(
        encode(tones[0], format_name) + encode(stereo, format_name, rate=44100)
    )
    remarks = []
    found, rate = audio_files.read(tmp_path / "x", remarks=remarks)
    assert rate == RATE and abs(len(found) - 4 * RATE) < 1200
    assert any(r.startswith("changes from 16000 to 44100 Hz after 2 s") for r in remarks)
    middle = slice(round(2.5 * RATE), round(3.5 * RATE))
    time = np.arange(len(found))[middle] / RATE
    basis = np.stack([np.sin(2 * np.pi * 440 * time), np.cos(2 * np.pi * 440 * time)])
    level = np.hypot(*(2 * basis @ found[middle] / len(time)))
    assert level == pytest.approx(0.3, rel=0.02)
    assert np.concatenate(list(recordings.stream(tmp_path / "x", rate))).tolist() == found.tolist()


ID3V2 = b"ID3\x04\0\0\0\0\x08\0" + bytes(1024)
ID3V1 = b"TAG" + b"x" * 125


@pytest.mark.parametrize("between", [b"", ID3V1, ID3V2, ID3V1 + ID3V2])
def test_joined_mp3s(hear, between):
    """Each part has the length that it has alone: the encoder delay is removed at each joint."""
    files = [encode(noise(n, i), "MP3") for i, n in enumerate((RATE, 2 * RATE, RATE))]
    found, _, remarks = hear(between.join(files))
    np.testing.assert_allclose(
        found, np.concatenate([hear(content)[0] for content in files]), atol=1e-5
    )
    assert remarks == [] and len(found) == 4 * RATE


def test_a_tag_in_the_middle_of_an_mp3(hear):
    whole = mp3(noise(3 * RATE), write_xing="0", id3v2_version="0")
    with av.open(io.BytesIO(whole), format="mp3") as container:
        places = [packet.pos for packet in container.demux(audio=0) if packet.pos]
    middle = places[len(places) // 2]
    found, _, remarks = hear(whole[:middle] + ID3V2 + whole[middle:] + ID3V1)
    np.testing.assert_allclose(found, hear(whole)[0], atol=1e-5)
    assert remarks == []


def test_a_variable_bit_rate_mp3_without_length(hear):
    """libsndfile estimates the length from the first frames."""
    samples = np.concatenate([noise(4 * RATE), np.zeros((8 * RATE, 1), np.float32)])
    content = mp3(samples, write_xing="0", id3v2_version="0")
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert file.frames < 8 * RATE
    found, _, remarks = hear(content)
    assert len(found) == by_pyav(content) >= 12 * RATE and remarks == []


def test_a_truncated_mp3(hear):
    whole = encode(noise(6 * RATE), "MP3")
    found, _, remarks = hear(whole[: len(whole) // 2])
    assert 2.8 * RATE < len(found) < 3 * RATE
    np.testing.assert_allclose(found, hear(whole)[0][: len(found)], atol=1e-5)
    assert remarks == [f"breaks off after {sound_file.shown_seconds(len(found) / RATE)} of 6 s"]


def test_a_damaged_mp3_is_read_up_to_the_damage(hear):
    whole = encode(noise(6 * RATE), "MP3")
    content = whole[: len(whole) // 2] + b"U" * 5000 + whole[len(whole) // 2 + 5000 :]
    found, _, remarks = hear(content)
    np.testing.assert_allclose(found, hear(whole)[0][: len(found)], atol=1e-5)
    assert (
        remarks == [f"breaks off after {sound_file.shown_seconds(len(found) / RATE)} of 6 s"]
        and len(found) > 2.8 * RATE
    )


def test_other_bytes_after_a_complete_mp3(hear):
    content, garbage = mp3(noise(6 * RATE)), np.random.default_rng(0).bytes(50_000)
    found, _, remarks = hear(content + garbage)
    np.testing.assert_allclose(found, hear(content)[0], atol=1e-5)  # another decoder
    assert remarks == []


def test_missing_bytes_of_an_mp3_cause_no_burst(hear):
    """FFmpeg decodes the frame after the gap to a loud burst."""
    content = mp3(noise(6 * RATE))
    for place in range(len(content) // 2, len(content) // 2 + 2000, 100):
        found, _, remarks = hear(content[:place] + content[place + 417 :])
        assert np.abs(found).max() < 1.5 and len(remarks) == 1 and len(found) > 2 * RATE


@pytest.mark.parametrize("damage", ["cut", "hole", "bit"])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_damaged_ogg_is_read_up_to_the_damage(hear, damage, subtype):
    """Decoders omit a page with a wrong checksum, so later samples come too early."""
    whole = encode(noise(30 * RATE), "OGG", subtype)
    middle = len(whole) // 2
    content = {
        "cut": whole[:middle],
        "hole": whole[:middle] + bytes(10) + whole[middle:],
        "bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    }[damage]
    found, _, remarks = hear(content)
    assert 12 * RATE < len(found) < 16 * RATE
    np.testing.assert_allclose(found[:-RATE], hear(whole)[0][: len(found) - RATE], atol=1e-6)
    total = "" if damage == "cut" else " of 30"
    assert (
        remarks == [f"breaks off after {sound_file.shown_seconds(len(found) / RATE)}{total} s"]
        or damage == "cut"
    )
    assert remarks[0].startswith("breaks off after 1")
