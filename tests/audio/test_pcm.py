"""WAV files and raw samples that arrive in blocks of bytes."""

import io
import struct

import numpy as np
import pytest
import soundfile
from sounds import RATE, chunk, encode, le, noise, put

from wsedtk.audio.pcm import PcmFormat, RawDecoder, WavDecoder
from wsedtk.core.errors import InputError


def decode(content, sizes=(65536,)):
    """Return the samples (S, C) and the format of a WAV file that is split into blocks."""
    decoder, found, start, number = WavDecoder("standard input"), [], 0, 0
    while start < len(content):
        size = sizes[number % len(sizes)]
        samples = decoder.push(content[start : start + size])
        found += [samples] if len(samples) else []
        start, number = start + size, number + 1
    decoder.finish()
    return np.concatenate(found) if found else None, decoder.format


def expected(content):
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    return samples


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize(
    "subtype, encoding",
    [
        ("PCM_U8", "u8"),
        ("PCM_16", "s16"),
        ("PCM_24", "s24"),
        ("PCM_32", "s32"),
        ("FLOAT", "f32"),
        ("DOUBLE", "f64"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sizes", [(10**6,), (1,), (7, 1000)])
def test_samples_are_those_of_libsndfile(container, subtype, encoding, channels, sizes):
    content = encode(noise(301, channels=channels), container, subtype)
    samples, found = decode(content, sizes)
    np.testing.assert_array_equal(samples, expected(content))
    assert samples.dtype == np.float32 and found == (RATE, channels, encoding)


@pytest.mark.parametrize(
    "size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFF00, 0x7FFFF000, 0x7FFF0000, 0x80000000, 44, 400]
)
def test_samples_extend_to_the_end_of_a_pipe(size):
    """The sizes are those of ffmpeg, sox, arecord and GStreamer, and sizes that are too small."""
    content = encode(noise(1000), subtype="PCM_16")
    whole = put(content, (b"RIFF", 4, le(size + 36)), (b"data", 4, le(size)))
    for sizes in ((10**6,), (45, 3), (1,)):
        np.testing.assert_array_equal(decode(whole, sizes)[0], expected(content))


def test_chunks_around_the_samples_are_no_samples():
    content = encode(noise(333), subtype="PCM_U8")  # an odd number of bytes
    head, data = content[:36], content[44 : 44 + 333]
    wave = head[:12] + chunk(b"JUNK", bytes(27)) + head[12:] + chunk(b"LIST", b"INFOabc")
    wave += chunk(b"data", data) + chunk(b"LIST", bytes(1001)) + chunk(b"own ", b"abcd")
    for sizes in ((10**6,), (1,)):
        np.testing.assert_array_equal(decode(wave, sizes)[0], expected(content))
    unpadded = head + chunk(b"data", data, padded=False) + chunk(b"LIST", bytes(100))
    np.testing.assert_array_equal(decode(unpadded)[0], expected(content))


def test_files_that_follow_each_other_are_one_stream():
    parts = [encode(noise(200 + seed, seed), subtype="PCM_16") for seed in range(3)]
    samples, _ = decode(b"".join(parts), (100,))
    np.testing.assert_array_equal(samples, np.concatenate([expected(part) for part in parts]))
    with pytest.raises(InputError, match=r"the format changes from .*16000.* to .*8000"):
        decode(parts[0] + encode(noise(10), rate=8000))


def test_an_incomplete_sample_at_the_end_is_dropped():
    content = encode(noise(100, channels=2), subtype="PCM_24")
    np.testing.assert_array_equal(decode(content[:-1], (11,))[0], expected(content)[:-1])
    assert decode(encode(noise(1), subtype="PCM_24")[:47])[0].shape == (1, 1)


def test_raw_samples():
    values = np.arange(-3000, 3000, 7, dtype="<i2").reshape(-1, 2)[:400]
    decoder = RawDecoder(PcmFormat(RATE, 2, "s16"))
    data = values.tobytes() + b"\1"
    found = np.concatenate([decoder.push(data[i : i + 5]) for i in range(0, len(data), 5)])
    decoder.finish()
    np.testing.assert_array_equal(found, values.astype(np.float32) / 32768)


def header(code=1, channels=1, rate=RATE, block=2, bits=16):
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * block, block, bits))


def wave(*chunks):
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + le(len(content)) + content


@pytest.mark.parametrize(
    "content, message",
    [
        (encode(noise(), "OGG"), r"is Ogg, expected WAV; convert it first: .*ffmpeg .*-f wav -"),
        (encode(noise(), "FLAC"), "is FLAC, expected WAV; convert it first"),
        (b"ID3" + bytes(100), "is MP3 with an ID3 tag"),
        (le(32) + b"ftypM4A " + bytes(50), "is MP4"),
        (
            bytes(range(200, 220)),
            r"found the bytes c8 c9 .* give their sample rate with --raw-rate",
        ),
        (b"abc", "expected WAV, found the bytes 61 62 63"),
        (b"RIFF" + le(99) + b"AVI " + bytes(99), "expected WAV, found the bytes 52 49"),
        (encode(noise())[:30], "the header of the WAV file is incomplete"),
        (wave(header()), "the header of the WAV file is incomplete"),
        (encode(noise(), subtype="ULAW"), r"are compressed \(mu-law\).*-c:a pcm_s16le"),
        (encode(noise(), subtype="IMA_ADPCM"), r"compressed \(ADPCM\)"),
        (wave(header(channels=0), chunk(b"data", bytes(8))), "announces 0 channels"),
        (wave(header(rate=7), chunk(b"data", bytes(8))), "announces 1 channel, 7 Hz"),
        (wave(header(block=5, bits=40), chunk(b"data", bytes(8))), "40 bits per sample; expected"),
        (wave(chunk(b"data", bytes(8))), "does not describe the samples"),
        (wave(chunk(b"fmt ", bytes(4)), bytes(9)), "chunk 'fmt ' of the WAV header has 4 bytes"),
        (wave(bytes([1, 2, 3, 4]) + bytes(20)), "its header is damaged"),
    ],
)
@pytest.mark.parametrize("size", [1, 10**6])
def test_what_is_no_wave_file(content, message, size):
    with pytest.raises(InputError, match=f"^standard input: .*{message}"):
        decode(content, (size,))


def test_an_empty_stream_has_no_samples():
    assert decode(b"") == (None, None)
    assert decode(wave(header(), b"data" + le(0)))[0] is None
