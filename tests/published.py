"""A small ready model for tests, its published files, and servers that deliver them."""

import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import safetensors.torch
import torch
from helpers import LABELS

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core.errors import InputError
from wsedtk.models import network
from wsedtk.models.ready_models import READY_MODELS, PublishedFile, ReadyModel

NETWORK, OPTIONS = "yamnet", {"num_mels": 32, "num_channels": 2, "dense": 3}
PARENTS = {"low": ["sound"]}


def contents():
    """Return the published files, {name: content}. Each call returns the same content."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tensors = network.build_network(NETWORK, len(LABELS), **OPTIONS).state_dict()
    return {
        "tiny.safetensors": safetensors.torch.save(tensors),
        "classes.txt": "".join(f"{label}\n" for label in LABELS).encode(),
        "tree.json": json.dumps(PARENTS).encode(),
    }


def read_weights_of(content):
    return safetensors.torch.load(content)


def read_weights(path):
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: is not a safetensors file ({error})") from None


def read_labels(path):
    return tuple(path.read_text("utf-8").splitlines())


ROLES = {"tiny.safetensors": "weights", "classes.txt": "labels", "tree.json": "ontology"}


def ready_model(address, name="tiny", unknown=(), **changes):
    """Return a ready model whose files are at the address.

    unknown: names of files whose size and hash are not known.
    """
    files = []
    for file, content in contents().items():
        known = {} if file in unknown else describe(content)
        files.append(PublishedFile(file, ROLES[file], f"{address}/{file}", **known))
    settings = {
        "summary": "A small network that nobody trained",
        "network": NETWORK,
        "network_options": OPTIONS,
        "pooling": "linear",
        "frontend": FrontendConfig(num_mels=32),
        "mean": -40.0,
        "std": 10.0,
        "files": tuple(files),
        "read_weights": read_weights,
        "read_labels": read_labels,
        "num_classes": len(LABELS),
        "licence": "CC-BY-4.0",
        "citation": "Doe & Roe (2020), Small networks",
        "source": "https://example.org/tiny",
    }
    return ReadyModel(name=name, **{**settings, **changes})


def describe(content):
    """Return the size and the hash of a published file."""
    return {"num_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def register(ready, monkeypatch):
    """Register a ready model until the end of the test, also in place of a built-in one."""
    READY_MODELS.names()  # imports the built-in ready models
    monkeypatch.setitem(READY_MODELS._objects, ready.name, ready)


class Server(ThreadingHTTPServer):
    """A server on this computer. It delivers files, and can behave badly.

    Attributes
    ----------
    files : dict of str to bytes
    etag : str or None
        The version of all files.
    has_ranges : bool
        Whether the server answers requests for a part of a file.
    faults : list
        One fault for each of the next requests: None, an HTTP status, a number of bytes after
        which the connection breaks off (as a negative number), or a function that is called with
        the handler after half of the content.
    requests : list of (str, dict)
        The path or address and the headers of each request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.etag, self.has_ranges = contents(), '"1"', True
        self.faults, self.requests, self.redirects = [], [], {}

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Print nothing if the client closes the connection."""

    def asked(self):
        """Return the names of the requested files, and forget the requests."""
        names = [path.rpartition("/")[2] for path, _ in self.requests]
        self.requests.clear()
        return names


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, dict(self.headers)))
        self.close_connection = True
        fault = server.faults.pop(0) if server.faults else None
        name = self.path.rpartition("/")[2]
        if self.path in server.redirects:
            return self.answer(302, {"Location": server.redirects[self.path]}, b"")
        if isinstance(fault, int) and fault > 0:
            return self.answer(fault, {}, b"no")
        if name not in server.files:
            return self.answer(404, {}, b"no")
        content, headers = server.files[name], {}
        if server.etag is not None:
            headers["ETag"] = server.etag
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if server.has_ranges and asked and self.headers.get("If-Range") == server.etag:
            start, status = int(asked.group(1)), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if start >= len(content):
                return self.answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
        return self.answer(status, headers, content[start:], fault)

    def answer(self, status, headers, content, fault=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if isinstance(fault, int):
            content = content[:-fault]
        elif fault is not None:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            fault(self)
            return
        self.wfile.write(content)


@contextlib.contextmanager
def serving():
    """Start a server for the block."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
