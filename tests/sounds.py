"""Sound files for the tests of reading sound, as bytes."""

import io

import av
import numpy as np
import soundfile
from helpers import write_by_pyav

RATE = 16000


def noise(num_samples=RATE, seed=0, channels=1):
    return (
        np.random.default_rng(seed).uniform(-0.5, 0.5, (num_samples, channels)).astype(np.float32)
    )


def encode(samples, format_name="WAV", subtype=None, rate=RATE):
    """Return the bytes of a sound file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format_name, subtype=subtype)
    return file.getvalue()


def put(content, *fields):
    """Replace header fields: (bytes before the field, offset from their start, value)."""
    content = bytearray(content)
    for mark, offset, value in fields:
        place = content.index(mark) + offset
        content[place : place + len(value)] = value
    return bytes(content)


def by_pyav(content):
    """Return the number of samples that FFmpeg decodes up to its first error."""
    count = 0
    try:
        with av.open(io.BytesIO(content)) as container:
            for frame in container.decode(audio=0):
                count += frame.samples
    except av.error.InvalidDataError:
        pass
    return count


def le(number, size=4):
    return (number % (1 << 8 * size)).to_bytes(size, "little")


def be(number, size=4):
    return (number % (1 << 8 * size)).to_bytes(size, "big")


def chunk(name, content, padded=True):
    return name + le(len(content)) + content + b"\0" * (len(content) % 2 if padded else 0)


def unknown_length(content):
    """Return a FLAC file whose number of samples is 0, as when written to a pipe."""
    place = content.index(b"fLaC") + 21
    return content[:place] + bytes([content[place] & 0xF0]) + bytes(4) + content[place + 5 :]


def mp3(samples, **options):
    """Return an MP3 file by PyAV."""
    file = io.BytesIO()
    file.name = "x.mp3"
    with av.open(file, "w", format="mp3", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        stream.codec_context.qscale, stream.codec_context.options = True, {"global_quality": "236"}
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout="mono"
        )
        frame.sample_rate, fifo, time = RATE, av.AudioFifo(), 0
        fifo.write(frame)
        while fifo.samples:
            piece = fifo.read(min(576, fifo.samples), partial=True)
            piece.pts = time
            time += piece.samples
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def by_pyav_file(tmp_path, *arguments, **options):
    """Return the bytes of a file by PyAV; see `write_by_pyav`."""
    write_by_pyav(tmp_path / "made", *arguments, **options)
    return (tmp_path / "made").read_bytes()
