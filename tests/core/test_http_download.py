"""Downloads from a server on this computer that breaks off, forgets, lies or refuses."""

import logging
import os
import stat
import threading

import pytest
from published import serving

from wsedtk.core import download as module
from wsedtk.core.download import DownloadError, download, sha256
from wsedtk.core.errors import InputError

CONTENT = bytes(range(256)) * 4000  # more than one block


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Record the pauses between tries instead of waiting, and use no proxy of the machine."""
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return pauses


@pytest.fixture
def server():
    with serving() as server:
        server.files["a.bin"] = CONTENT
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Download a.bin, check it, and return the headers of all requests."""

    def fetch(num_bytes=None):
        server.requests.clear()
        download(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", num_bytes)
        assert (tmp_path / "new" / "a.bin").read_bytes() == server.files["a.bin"]
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.bin"]
        return [headers for _, headers in server.requests]

    return fetch


@pytest.fixture
def interrupted(server, tmp_path):
    """Interrupt a download after 300,000 bytes."""
    server.faults = [-300_000, 404]
    with pytest.raises(DownloadError, match="HTTP status 404"):
        download(f"{server.address}/a.bin", tmp_path / "new" / "a.bin")
    assert (tmp_path / "new" / "a.bin.part").read_bytes() == CONTENT[:300_000]
    assert not (tmp_path / "new" / "a.bin").exists()


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_file(fetch, size):
    (headers,) = fetch(size)
    assert headers["User-Agent"].startswith("wsedtk/") and "Range" not in headers


@pytest.mark.parametrize("content", [b"", b"x"])
def test_small_files(fetch, server, content):
    server.files["a.bin"] = content
    assert len(fetch(len(content))) == 1


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_download_is_resumed(fetch):
    (headers,) = fetch()
    assert (headers["Range"], headers["If-Range"]) == ("bytes=300000-", '"1"')


@pytest.mark.usefixtures("interrupted")
def test_a_file_that_has_changed_is_downloaded_from_its_start(fetch, server):
    server.etag, server.files["a.bin"] = '"2"', CONTENT[::-1]
    (headers,) = fetch()
    assert headers["If-Range"] == '"1"'


@pytest.mark.usefixtures("interrupted")
def test_a_server_without_ranges_sends_the_whole_file(fetch, server):
    server.has_ranges = False
    assert len(fetch()) == 1


@pytest.mark.usefixtures("interrupted")
def test_another_address_is_another_file(server, tmp_path):
    server.files["b.bin"] = CONTENT[::-1]
    server.requests.clear()
    download(f"{server.address}/b.bin", tmp_path / "new" / "a.bin")
    assert (tmp_path / "new" / "a.bin").read_bytes() == CONTENT[::-1]
    assert "Range" not in server.requests[0][1]


@pytest.mark.parametrize("etag", [None, 'W/"1"', ""])
def test_without_a_version_a_download_starts_anew(fetch, server, tmp_path, etag):
    server.etag, server.faults = etag, [-300_000, 404]
    with pytest.raises(DownloadError):
        fetch()
    (headers,) = fetch()
    assert "Range" not in headers


@pytest.mark.usefixtures("interrupted")
def test_a_complete_file_that_was_not_renamed(fetch, tmp_path):
    (tmp_path / "new" / "a.bin.part").write_bytes(CONTENT)
    (headers,) = fetch(len(CONTENT))
    assert headers["Range"] == f"bytes={len(CONTENT)}-"


@pytest.mark.usefixtures("interrupted")
def test_more_bytes_than_the_file_has(fetch, tmp_path):
    (tmp_path / "new" / "a.bin.part").write_bytes(CONTENT + b"x")
    first, second = fetch(len(CONTENT))
    assert "Range" in first and "Range" not in second


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("version", [b"", b"\xff", None])
def test_a_damaged_version_file(fetch, tmp_path, version):
    path = tmp_path / "new" / "a.bin.part.version"
    path.unlink()
    if version is not None:
        path.write_bytes(version)
    (headers,) = fetch()
    assert "Range" not in headers


def test_temporary_faults_are_tried_again(fetch, server, no_pauses, caplog):
    caplog.set_level(logging.INFO, "wsedtk")
    server.faults = [503, 429, -300_000, -1000, -2000, -100_000]
    requests = fetch()
    assert [headers.get("Range") for headers in requests] == [
        None,
        None,
        None,
        "bytes=300000-",
        "bytes=301000-",
        "bytes=303000-",
        "bytes=403000-",
    ]
    assert no_pauses == [1, 2, 1, 1, 1, 1]  # a try that receives something resets the pause
    assert f"{server.address}/a.bin: HTTP status 503 (Service Unavailable); trying again" in (
        caplog.messages
    )
    assert "broke off after 300,000 of 1,024,000 bytes; trying again" in caplog.text


@pytest.mark.parametrize(
    "faults, has_ranges, num_requests",
    [
        ([503] * 9, True, 4),
        ([-300_000] * 9, False, 4),  # the same bytes again and again
        ([-300_000, -1000, 0, 0, 0, 0, 0], True, 5),
    ],
)
def test_it_gives_up(fetch, server, faults, has_ranges, num_requests):
    """After the last try that received something new, three more tries fail."""
    server.has_ranges, server.faults = has_ranges, faults
    with pytest.raises(DownloadError, match="503|broke off"):
        fetch()
    assert len(server.requests) == num_requests


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_a_refusal_is_final(fetch, server, status):
    server.faults = [status]
    with pytest.raises(DownloadError, match=rf"^HTTP status {status} \("):
        fetch()
    assert len(server.requests) == 1


def test_another_part_than_the_requested_part(fetch, server, interrupted, monkeypatch):
    """The part is requested again, and is not appended."""
    answer = server.RequestHandlerClass.answer

    def shifted(handler, status, headers, content, fault=None):
        if len(server.requests) == 1:
            headers = {**headers, "Content-Range": "bytes 299999-1023999/1024000"}
        answer(handler, status, headers, content, fault)

    monkeypatch.setattr(server.RequestHandlerClass, "answer", shifted)
    assert [headers["Range"] for headers in fetch()] == ["bytes=300000-"] * 2


@pytest.mark.parametrize("size", [0, 1, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_size_is_noticed_before_the_download(fetch, server, tmp_path, size):
    with pytest.raises(DownloadError, match=f"a file of 1,024,000 bytes; expected {size:,} bytes"):
        fetch(size)
    assert len(server.requests) == 1 and not (tmp_path / "new").exists()


def test_a_server_that_does_not_tell_the_size(fetch, server, tmp_path, monkeypatch):
    """The end of the connection is the end of the file."""
    answer = server.RequestHandlerClass.answer
    monkeypatch.setattr(
        server.RequestHandlerClass,
        "send_header",
        lambda self, name, value: (
            None
            if name == "Content-Length"
            else super(server.RequestHandlerClass, self).send_header(name, value)
        ),
    )
    assert answer and len(fetch()) == 1
    (tmp_path / "new" / "a.bin").unlink()
    assert len(fetch(len(CONTENT))) == 1
    with pytest.raises(DownloadError, match="sent more than 1,000,000 bytes"):
        download(f"{server.address}/a.bin", tmp_path / "b.bin", 1_000_000)
    assert not (tmp_path / "b.bin").exists()


def test_redirects(server, tmp_path):
    """To another host, and with the requested range."""
    with serving() as other:
        other.files["x"] = CONTENT
        server.redirects["/release/a.bin"] = f"{other.address}/x"
        other.faults = [-300_000]
        download(f"{server.address}/release/a.bin", tmp_path / "a.bin")
        assert (tmp_path / "a.bin").read_bytes() == CONTENT
        assert [headers.get("Range") for _, headers in other.requests] == [None, "bytes=300000-"]
    server.redirects["/loop"] = "/loop"
    with pytest.raises(DownloadError, match="redirect"):
        download(f"{server.address}/loop", tmp_path / "b.bin")


def test_a_proxy(server, tmp_path, monkeypatch):
    """The proxy gets the whole address. An address in no_proxy is requested without the proxy."""
    monkeypatch.setenv("http_proxy", server.address)
    download("http://nowhere.invalid/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["http://nowhere.invalid/a.bin"]
    with serving() as other:
        other.files["b.bin"] = CONTENT[::-1]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        download(f"{other.address}/b.bin", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == CONTENT[::-1] and len(server.requests) == 1


def test_no_network(tmp_path, no_pauses):
    with serving() as server:
        address = server.address
    with pytest.raises(DownloadError, match="^Connection refused$"):
        download(f"{address}/a.bin", tmp_path / "a.bin")
    assert no_pauses == [1, 2, 4] and not list(tmp_path.iterdir())


def test_a_server_that_stops_sending(fetch, server, monkeypatch):
    """The client closes the connection and asks for the rest."""
    timeout, done = module.TIMEOUT_SECONDS, threading.Event()
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 1)

    def stop(handler):
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", timeout)
        done.wait(30)

    server.faults = [stop]
    requests = fetch()
    done.set()
    assert [headers.get("Range") for headers in requests] == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_certificate_that_is_not_trusted_is_final(server, tmp_path, monkeypatch):
    import ssl
    import urllib.error

    def refuse(*arguments, **settings):
        raise urllib.error.URLError(ssl.SSLCertVerificationError(1, "self-signed certificate"))

    monkeypatch.setattr(module.urllib.request.OpenerDirector, "open", refuse)
    with pytest.raises(DownloadError, match="self-signed certificate"):
        download("https://127.0.0.1/a.bin", tmp_path / "a.bin")


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/a\.bin\.part: can't be written: "):
        download(f"{server.address}/a.bin", tmp_path / "file" / "a.bin")
    assert len(server.requests) == 1


def test_a_full_disk(server, tmp_path):
    if not os.path.exists("/dev/full") or not stat.S_ISCHR(os.stat("/dev/full").st_mode):
        pytest.skip("there is no /dev/full")
    (tmp_path / "a.bin.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"a\.bin\.part: can't be written: No space left"):
        download(f"{server.address}/a.bin", tmp_path / "a.bin")
    assert len(server.requests) == 1


def test_progress_is_logged(fetch, monkeypatch, caplog):
    from wsedtk.core import progress

    monkeypatch.setattr(progress, "QUIET_SECONDS", 0)
    caplog.set_level(logging.INFO, "wsedtk")
    fetch()
    assert caplog.messages[-1] == "download a.bin: 1.0 of 1.0 MB"
    assert 1 <= len(caplog.messages) <= progress.PLAIN_LINES


def test_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # the example in FIPS 180-2
    assert sha256(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
