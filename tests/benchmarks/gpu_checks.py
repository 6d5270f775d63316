"""Check that the results of a GPU are those of the CPU. `gpu.py` calls these functions.

Each check yields rows of its table as soon as they are known. Without a GPU, the device is the CPU,
and the networks and inputs are small.
"""

import contextlib
import warnings

import common
import numpy as np
import soundfile
import torch
from torch import nn

import wsedtk
from wsedtk.audio.frontend import LogMel
from wsedtk.core import config
from wsedtk.core.errors import NotFinished
from wsedtk.data import store
from wsedtk.inference import network_runner
from wsedtk.models import layers
from wsedtk.models.network import build_network
from wsedtk.models.pooling_functions import POOLINGS
from wsedtk.stages import balance, detect, extract, predict
from wsedtk.stages import train as train_stage
from wsedtk.stages.options.detection import DetectOptions
from wsedtk.stages.options.results import PredictOptions
from wsedtk.stages.options.systems import BalanceOptions, ExtractOptions, TrainOptions
from wsedtk.training.training_loop import binary_cross_entropy

# Limits of the differences from the CPU in float64. The first limit is that of probabilities
# (absolute), the second one that of the gradient (relative). If the CPU differs in the same
# precision, the limit is at least this difference times the third number. Deep networks with random
# weights and batch norm amplify rounding errors about 10,000 times: with one and two threads of a
# CPU, probabilities of TALNet differed by 1e-12 in float64 and by 5e-4 in float32. Rounding also
# decides which of two almost equal inputs of a max-pooling gets a gradient, so the gradient differs
# more than the probabilities.
LIMITS = {"float64": (1e-9, 1e-4, 0), "float32": (1e-5, 2e-3, 10), "bf16": (5e-3, 5e-2, 3)}
TOY = {  # options of the networks without a GPU
    "dcase-crnn": {"channels": (4, 6, 8), "num_hidden": 8},
    "talnet": {"embedding_size": 64, "num_convs": 5},
    "gated-crnn": {"num_channels": 4, "num_top_channels": 8, "num_hidden": 8},
}


class Probe:
    """A network with each precision, its inputs, and its results on the CPU in float64."""

    def __init__(self, name, pooling, device, is_toy):
        frontend = common.front_ends()[name]
        num_frames = 50 if is_toy else round(5 / frontend.seconds_per_frame)
        num_classes = 17 if is_toy else common.NUM_CLASSES[name]
        self.device = device
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            options = {"num_mels": frontend.num_mels, **(TOY[name] if is_toy else {})}
            self.network = build_network(name, num_classes, pooling, **options)
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):  # its random numbers depend on the device
                module.p = 0.0
        self.x = torch.randn(3, num_frames, frontend.num_mels, generator=generator)
        self.tags = (torch.rand(3, num_classes, generator=generator) < 0.2).float()
        lengths = torch.tensor([num_frames, num_frames * 2 // 3, 7])[:, None]
        self.masks = (
            torch.ones(3, num_frames, dtype=torch.bool),
            torch.arange(num_frames) < lengths,
        )
        self.of_cpu = {name: self.results(name, torch.device("cpu")) for name in LIMITS}

    def results(self, precision, device):
        """Return the probabilities and the gradient of the loss, each as one tensor in float64."""
        state = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        network = self.network.train()
        ones = [0.0] * self.x.shape[2], [1.0] * self.x.shape[2]
        runner = network_runner.Runner.of(network, *ones, device, precision != "bf16")
        dtype = torch.float64 if precision == "float64" else torch.float32
        runner.network.to(dtype)
        network.zero_grad(set_to_none=True)
        probabilities = []
        with runner.exact():
            for mask in self.masks:  # without and with padded frames
                staged = runner.staged(self.x, mask)
                x, on_device = runner.normalize(*staged)
                output = runner.run(x.to(dtype), on_device)
                binary_cross_entropy_of(output, self.tags.to(device)).backward()
                probabilities += [output.clip.detach(), output.frame.detach()]
        gradients = [parameter.grad for parameter in network.parameters()]
        found = [
            torch.cat([one.to("cpu", torch.float64).flatten() for one in several])
            for several in (probabilities, gradients)
        ]
        network.to("cpu", torch.float32).load_state_dict(state)
        return found

    def compare(self, precision):
        """Return the differences of the device and their limits, for probabilities and gradient."""
        of_cpu, (*least, factor) = self.of_cpu, LIMITS[precision]
        found = differences(self.results(precision, self.device), of_cpu["float64"])
        allowed = differences(of_cpu[precision], of_cpu["float64"])
        return found, tuple(max(limit, factor * other) for limit, other in zip(least, allowed))


def differences(results, expected):
    """Return the largest difference of a probability, and the relative difference of the gradient.

    All parameters together give the relative difference of the gradient.
    """
    (found, gradient), (right, right_gradient) = results, expected
    relative = (gradient - right_gradient).norm() / right_gradient.norm()
    return (found - right).abs().max().item(), relative.item()


def binary_cross_entropy_of(output, tags):
    """Return the loss of the clip probabilities, in float64 if they are."""
    if output.clip.dtype == torch.float64:
        return nn.functional.binary_cross_entropy(output.clip.clamp(1e-7, 1 - 1e-7), tags.double())
    return binary_cross_entropy(output.clip, tags)


def compare_network(name, pooling, device):
    """Return the cells of the row of one network with one pooling function."""
    probe = Probe(name, pooling, device, device.type == "cpu")
    compared = {precision: probe.compare(precision) for precision in LIMITS}
    cells = [
        "; ".join(f"{precision} {c[k][0]:.0e}, {c[k][1]:.0e}" for precision, c in compared.items())
        for k in (0, 1)
    ]
    holds = all(a <= b for found, limits in compared.values() for a, b in zip(found, limits))
    return "CPU, float64", *cells, holds


def small_gradients(device):
    """Return the cells of the row of a GRU under autocast, with very small gradients.

    The gradients are as small as those of TALNet with a batch of 250 clips (3e-8). In float16, half
    of them would be 0.
    """
    size, num_frames = (64, 10) if device.type == "cpu" else (1024, 100)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        gru = nn.GRU(size, size // 2, batch_first=True, bidirectional=True).double()
        x = torch.randn(4, num_frames, size, dtype=torch.float64)
        gradient = 3e-8 * torch.randn(4, num_frames, size, dtype=torch.float64)

    def results(place, dtype):
        on_place, inputs = gru.to(place, dtype), x.to(place, dtype, copy=True).requires_grad_()
        on_place.zero_grad(set_to_none=True)
        with torch.autocast(place.type, torch.bfloat16, enabled=dtype == torch.float32):
            hidden = layers.run_gru(on_place, inputs, None)
        hidden.backward(gradient.to(hidden))
        found = [inputs.grad, *(parameter.grad for parameter in on_place.parameters())]
        return torch.cat([one.to("cpu", torch.float64).flatten() for one in found])

    expected = results(torch.device("cpu"), torch.float64)
    difference = (results(device, torch.float32) - expected).norm() / expected.norm()
    return "CPU, float64", f"{difference:.1e}", "5e-02", bool(difference <= 0.05)


def networks(device, deadline, folder):
    """Compare probabilities and gradients of all networks and poolings with the CPU in float64."""
    title = "GRU, bf16, with small gradients: gradient"
    yield common.attempt(deadline, title, lambda: small_gradients(device))
    for name in common.NUM_CLASSES:
        for pooling in POOLINGS.names():
            title = f"{name}, {pooling}: probabilities, gradient"
            yield common.attempt(deadline, title, lambda: compare_network(name, pooling, device))


TRAININGS = {  # settings of the training runs that are stopped
    "bf16": {"precision": "bf16"},
    "float32, augmentations, frame targets": {
        "precision": "float32",
        "mixup_alpha": 0.5,
        "time_shift_seconds": 1.0,
        "time_mask_seconds": 1.0,
        "mel_mask_bins": 8,
        "frame_loss_weight": 0.5,
    },
}


class Stop(list):
    """Signals of a training run. The first one arrives at the given batch."""

    def __init__(self, batch):
        super().__init__(["SIGTERM"])
        self.left = batch

    def __bool__(self):
        self.left -= 1
        return self.left <= 0


def outcome(model):
    """Return the weights of a model directory, and its history without times."""
    history = (model / "history.tsv").read_text(encoding="utf-8").splitlines()
    return (model / "model.safetensors").read_bytes(), [line.rsplit("\t", 1)[0] for line in history]


def resuming(device, deadline, folder):
    """Compare training runs that were stopped and resumed with uninterrupted ones, bit by bit."""
    num_clips, batch = 64, 4 if device.type == "cpu" else 16
    data = common.write_set(folder / "set", num_clips, 4)
    header, *tags = (data / "tags.tsv").read_text(encoding="utf-8").splitlines()
    events = [line.replace("\t", "\t1.0\t2.5\t") for line in tags]
    text = "\n".join([header.replace("\t", "\tonset\toffset\t"), *events, ""])
    (data / "events.tsv").write_text(text, encoding="utf-8")
    sets = folder / "fit", folder / "valid"
    balance.run(BalanceOptions(data, *sets, num_valid=12))

    def train(model, feats, settings, stop=100):
        options = TrainOptions(*sets, model, feats, settings=settings, device=device.type)
        train_stage.run(options, stop_signals=lambda: contextlib.nullcontext(Stop(stop)))
        return outcome(model)

    def compare(name, kind):
        feats, model = folder / f"{name}.h5", folder / f"{name}-{kind}"
        settings = {
            "network": name,
            "network_options": TOY[name] if device.type == "cpu" else {},
            **TRAININGS[kind],
            **{"batch_size": batch, "checkpoint_every": 3, "max_checkpoints": 2},
        }
        whole = train(folder / f"{name}-{kind}-whole", feats, settings)
        with contextlib.suppress(NotFinished):
            train(model, feats, settings, stop=2)
        num_stopped = len(list((model / "checkpoints").glob("resume*.pt")))
        same = train(model, feats, settings) == whole and num_stopped == 1
        return "uninterrupted", "bit-identical" if same else "different", "bit-identical", same

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name, frontend in common.front_ends().items():
            common.write_features(
                folder / f"{name}.h5", num_clips, frontend, fractions=(1, 0.7, 0.5, 1)
            )
            for kind in TRAININGS:
                title = f"{name}: training resumed after a stop, {kind}"
                yield common.attempt(deadline, title, lambda: compare(name, kind))
        odd = {str(w.message).split()[0] for w in caught if "deterministic" in str(w.message)}
    yield "operations that PyTorch calls nondeterministic", "", ", ".join(odd) or "none", "", None


def largest_gap(scores):
    """Return the middle of the largest gap between scores near the median, and its half width."""
    ordered = np.sort(scores.ravel())
    ordered = ordered[len(ordered) // 10 : -len(ordered) // 10]
    place = np.diff(ordered).argmax()
    return (ordered[place] + ordered[place + 1]) / 2, (ordered[place + 1] - ordered[place]) / 2


def events_of(model, audio, threshold, device):
    """Return (recording, onset, offset, label) of all events that `detect` finds."""
    found = []
    options = DetectOptions(
        model, [audio], thresholds=[f"{threshold:.9f}"], precise=True, device=device.type
    )
    detect.run(options, on_recording=found.append)
    return [(one.name, e.onset, e.offset, e.label) for one in found for e in one.events]


def detection(device, deadline, folder):
    """Compare frame scores and events of recordings with those of the CPU."""
    model, cpu = common.write_model(folder / "model", "dcase-crnn"), torch.device("cpu")
    paths = common.write_sounds(folder / "audio", 3)
    joined, rate = np.concatenate([soundfile.read(path)[0] for path in paths]), 44100
    soundfile.write(folder / "audio" / "long.wav", joined[: 25 * rate], rate)

    def frames(device, precise):
        loaded = wsedtk.load_model(model, device.type, precise)
        return np.stack([loaded.predict(soundfile.read(path)[0], rate).frame for path in paths])

    exact = frames(cpu, True)

    def scores(precise, limit):
        worst = np.abs(frames(device, precise) - exact).max()
        return "CPU, float32", f"{worst:.1e}", f"{limit:.0e}", bool(worst <= limit)

    def events():
        # A score next to the threshold would change an event although it differs only by rounding.
        threshold, margin = largest_gap(exact)
        audio = folder / "audio"
        expected, found = (events_of(model, audio, threshold, place) for place in (cpu, device))
        shown = f"{len(found)} events, {len(set(found) ^ set(expected))} differ"
        limit = f"the same events (no score within {margin:.0e} of the threshold)"
        return "CPU, float32", shown, limit, found == expected and len(found) > 0

    def prediction():
        feats = folder / "feats.h5"
        common.write_features(
            feats, 40, common.front_ends()["dcase-crnn"], fractions=(1, 0.31, 0.7, 0.01)
        )
        found = []
        for place in (cpu, device):
            output = folder / f"{place.type}.h5"
            options = PredictOptions(model, feats, output, precise=True, device=place.type)
            predict.run(options)
            scores = store.ScoreFile(output)
            found.append([scores.frames(row) for row in range(len(scores))])
            found[-1] += [scores.clip, *(scores.segments(row) for row in range(len(scores)))]
            output.unlink()
        worst = max(np.abs(a - b).max() for a, b in zip(*found))
        return "CPU, float32", f"{worst:.1e}", "1e-05", bool(worst <= 1e-5)

    yield common.attempt(deadline, "predict: clips, frames, segments", prediction)
    yield common.attempt(deadline, "frame scores", lambda: scores(True, 1e-5))
    yield common.attempt(deadline, "frame scores, --fast", lambda: scores(False, 0.02))
    yield common.attempt(deadline, "detect", events)


def extraction(device, deadline, folder):
    """Compare features of `extract` with those of the CPU, and with a front end in float64."""
    paths = common.write_sounds(folder / "audio", 3)
    tone = 0.5 * np.sin(np.arange(441000) * 2 * np.pi * 1000 / 44100)
    soundfile.write(folder / "audio" / "tone.wav", tone, 44100)
    paths.append(folder / "audio" / "tone.wav")
    data = common.write_set(folder / "set", len(paths), 2, paths)

    def compare(name):
        frontend, settings = common.front_ends()[name], folder / f"{name}.yaml"
        settings.write_text(config.to_yaml(frontend.settings()), encoding="utf-8")
        features = []
        for place in ("cpu", device.type):
            output = folder / f"{name}-{place}.h5"
            extract.run(ExtractOptions(data, output, config=settings, device=place))
            features.append(store.FeatureStore([output]).read(np.arange(len(paths))))
            output.unlink()
        clips = [extract.clip_samples(frontend, common.SECONDS, False, path) for path in paths]
        exact = np.stack([LogMel(frontend)(c.values.astype(np.float64)) for c in clips])
        # LogMel documents a precision of 0.01 dB for levels down to this distance from the maximum.
        audible = exact > exact.max(axis=(1, 2), keepdims=True) - 50 * frontend.power
        worst = [np.abs(features[1] - other)[audible].max() for other in (features[0], exact)]
        found = f"{worst[0]:.1e} dB; {worst[1]:.1e} dB"
        return "CPU; a front end in float64", found, "0.02 dB", bool(max(worst) <= 0.02)

    for name in ("dcase-crnn", "gated-crnn"):
        title = f"extract, front end of {name}: levels"
        yield common.attempt(deadline, title, lambda: compare(name))
