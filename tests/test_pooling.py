"""Pooling: nine weights and three hierarchies against plain formulas, closed-form gradients, order, masks, degenerate clips, segments."""

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy, sigmoid, softplus

import wsedtk.pooling
from wsedtk.pooling import HIERARCHIES, METHODS, Pooling, pool_segments, segment_of_frame

ALPHA, BETA = np.array([0.7, 0.0, 3.0, 20.0]), np.array([0.5, 1.0, 0.0, 2.5])  # of four classes
SHAPES = [(1, 4), (2, 1), (13, 4), (125, 3)]  # frames, classes
MASKS = ["whole", "padded", "holes"]
GROUPS = [(5,), (5, 5), (4, 3, 2), (200,)]
STRUCTURES = [(None, ())] + [(hierarchy, (5, 5)) for hierarchy in HIERARCHIES]
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
EVERY_SHAPE = pytest.mark.parametrize("frames, classes", SHAPES)
EVERY_MASK = pytest.mark.parametrize("kind", MASKS)
EVERY_STRUCTURE = pytest.mark.parametrize("hierarchy, groups", STRUCTURES)
EVERY_WIDTH = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def make_case(frames=13, classes=4, kind="whole", dtype=torch.float64):
    g = torch.Generator().manual_seed(frames)
    x = torch.rand(3, frames, classes, generator=g, dtype=dtype)
    w = softplus(3 * torch.randn(3, frames, classes, generator=g, dtype=dtype))
    padded = torch.arange(frames) < torch.tensor([frames, frames // 2 + 1, 1])[:, None]
    holes = torch.rand(3, frames, generator=g) < 0.5
    holes[:, -1] = True
    return x, w, {"whole": None, "padded": padded, "holes": holes}[kind]


def make_pooling(method, classes=4, hierarchy=None, groups=(), dtype=torch.float64):
    pooling = Pooling(method, classes, hierarchy, groups).to(dtype)
    for name, parameter in pooling.named_parameters():
        parameter.data.copy_(torch.from_numpy({"alpha": ALPHA, "beta": BETA}[name][:classes]))
    return pooling


def run(pooling, x, w, mask=None):
    """y, dy/dx, dy/dw of y.sum(); the parameters keep their own."""
    x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
    pooling.zero_grad()
    y = pooling(x, w, mask)
    y.sum().backward()
    return y.detach(), x.grad, torch.zeros_like(w) if w.grad is None else w.grad


def close(found, expected, atol=1e-12):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, torch.as_tensor(b), rtol=0, atol=atol)


def plain_weight(method, x, w, steepness):
    """f(x) of the table in SPEC, of frames (n, K) or of one group (K,)."""
    alpha, beta = ALPHA[:x.shape[-1]], BETA[:x.shape[-1]]
    return {"max": lambda: (np.arange(len(x))[:, None] == x.argmax(0)).astype(float), "average": lambda: np.ones_like(x),
            "linear": lambda: x, "exp": lambda: np.exp(x), "attention": lambda: w, "auto": lambda: np.exp(alpha * x),
            "power": lambda: x ** beta, "general": lambda: x ** beta * np.exp(alpha * x),
            "monotone-attention": lambda: np.exp(steepness * x)}[method]()


def clips_of(x, w, mask):
    """x, w (n, K) and the places (n,) of every clip's real frames."""
    mask = torch.ones(x.shape[:2], dtype=bool) if mask is None else mask
    return [(a[m].numpy(), b[m].numpy(), np.flatnonzero(m)) for a, b, m in zip(x, w, mask, strict=True)]


def closed_form(method, x, w, place, size=None):
    """dy/dx, dy/dw, dy/dalpha, dy/dbeta of one clip: Wang's table 1, and He's table A-1 with first groups of `size`."""
    alpha, beta, steepness = ALPHA[:x.shape[1]], BETA[:x.shape[1]], w.mean(0)
    v = plain_weight(method, x, w, steepness)
    total = v.sum(0)
    y = (v * x).sum(0) / total
    judge = x  # xs_j of frame i in He's (8), (A-18), (A-20), (A-23); x_i itself in single pooling
    if size is not None and method != "max":
        judge = np.stack([(v[s] * x[s]).sum(0) / v[s].sum(0) for s in place[:, None] // size == place // size])
    by_x = {"max": v, "average": 1 / len(x) + 0 * x, "linear": (x + judge - y) / x.sum(0), "attention": w / w.sum(0),
            "exp": (1 + judge - y) * np.exp(x) / np.exp(x).sum(0)}
    slope = {"auto": alpha, "power": beta / x, "general": beta / x + alpha, "monotone-attention": steepness}
    dx = by_x[method] if method in by_x else v * (1 + slope[method] * (judge - y)) / total
    dalpha, dbeta = ((v * a * (judge - y)).sum(0) / total for a in (x, np.log(x)))
    dw = {"attention": (judge - y) / w.sum(0), "monotone-attention": 0 * x + dalpha / len(x)}.get(method, 0 * x)
    return dx, dw, dalpha, dbeta


def check_gradients(method, pooling, x, w, mask, size=None):
    _, dx, dw = run(pooling, x, w, mask)
    expected_dx, expected_dw, expected = torch.zeros_like(x), torch.zeros_like(w), {"alpha": 0, "beta": 0}
    for clip, (a, b, place) in enumerate(clips_of(x, w, mask)):
        by_x, by_w, dalpha, dbeta = closed_form(method, a, b, place, size)
        expected_dx[clip, place], expected_dw[clip, place] = torch.from_numpy(by_x), torch.from_numpy(by_w)
        expected = {"alpha": expected["alpha"] + dalpha, "beta": expected["beta"] + dbeta}
    close((dx, dw), (expected_dx, expected_dw), atol=1e-10)
    for name, parameter in pooling.named_parameters():
        close([parameter.grad], [expected[name]], atol=1e-10)


@EVERY_METHOD
@EVERY_SHAPE
@EVERY_MASK
def test_values_are_the_weighted_average_single_plain_and_published(method, frames, classes, kind):
    x, w, mask = make_case(frames, classes, kind)
    expected = []
    for a, b, _ in clips_of(x, w, mask):
        v = plain_weight(method, a, b, b.mean(0))
        expected.append((v * a).sum(0) / v.sum(0))
    for hierarchy, groups in [(None, ())] + [(h, g) for h in ("published", "plain") for g in GROUPS]:
        close([make_pooling(method, classes, hierarchy, groups)(x, w, mask)], [np.stack(expected)])


@EVERY_METHOD
@EVERY_SHAPE
@EVERY_MASK
def test_gradient_is_wangs(method, frames, classes, kind):
    check_gradients(method, make_pooling(method, classes), *make_case(frames, classes, kind))


@EVERY_METHOD
@EVERY_SHAPE
@EVERY_MASK
def test_gradient_of_the_published_hierarchy_is_hes(method, frames, classes, kind):
    for groups in GROUPS:
        pooling = make_pooling(method, classes, "published", groups)
        check_gradients(method, pooling, *make_case(frames, classes, kind), size=groups[0])


@EVERY_METHOD
@EVERY_MASK
@pytest.mark.parametrize("groups", GROUPS)
def test_plain_hierarchy_is_single_pooling_also_backwards(method, kind, groups):
    plain, single = make_pooling(method, 4, "plain", groups), make_pooling(method)
    for frames in (1, 13, 125):
        case = make_case(frames, 4, kind)
        close(run(plain, *case), run(single, *case))
        close([p.grad for p in plain.parameters()], [p.grad for p in single.parameters()])


@pytest.mark.parametrize("method", ["max", "average"])
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
@EVERY_MASK
def test_max_and_average_ignore_every_hierarchy(method, hierarchy, kind):
    for frames, groups in [(1, (5,)), (13, (5, 5)), (125, (5, 5)), (125, (4, 3))]:
        case = make_case(frames, 4, kind)
        close(run(make_pooling(method, 4, hierarchy, groups), *case), run(make_pooling(method), *case), atol=0)


def plain_nested(method, x, w, real, groups):
    """SPEC's nested hierarchy of one clip (T, K), in loops."""
    steepness = w[real].mean(0)

    def merge(rows):
        rows = [(frames, xs) for frames, xs in rows if frames]
        weights = [len(frames) * plain_weight(method, xs, np.exp(np.log(w[frames]).mean(0)), steepness) for frames, xs in rows]
        value = sum(v * xs for v, (_, xs) in zip(weights, rows, strict=True)) / sum(weights) if rows else None
        return sum((frames for frames, _ in rows), []), value

    rows = [([t] if real[t] else [], x[t]) for t in range(len(x))]
    for size in groups:
        rows = [merge(rows[start:start + size]) for start in range(0, len(rows), size)]
    return merge(rows)[1]


@pytest.mark.parametrize("method", METHODS[1:])
@EVERY_SHAPE
@EVERY_MASK
def test_nested_computes_the_weights_of_groups_anew(method, frames, classes, kind):
    x, w, mask = make_case(frames, classes, kind)
    real = np.ones((3, frames), bool) if mask is None else mask.numpy()
    for groups in GROUPS:
        expected = [plain_nested(method, x[clip].numpy(), w[clip].numpy(), real[clip], groups) for clip in range(3)]
        close([make_pooling(method, classes, "nested", groups)(x, w, mask)], [np.stack(expected)])


@pytest.mark.parametrize("method", METHODS[2:])
@pytest.mark.parametrize("groups", [(5,), (5, 5)])
def test_nested_differs_from_single_pooling(method, groups):
    x, w, _ = make_case(125)
    difference = Pooling(method, 4, "nested", groups).double()(x, w) - Pooling(method, 4).double()(x, w)
    assert (difference.abs() > 1e-5).all()


@EVERY_METHOD
@pytest.mark.parametrize("hierarchy, groups", [(None, ()), ("nested", (3, 2))])
def test_derivative_is_the_numerical_one_for_every_learnt_number(method, hierarchy, groups):
    pooling = make_pooling(method, 2, hierarchy, groups)
    x, w, mask = make_case(7, 2, "padded")
    names = [name for name, _ in pooling.named_parameters()]

    def f(x, w, *parameters):
        return functional_call(pooling, dict(zip(names, parameters, strict=True)), (x, w, mask))

    learnt = [torch.tensor([0.8, 1.7], dtype=torch.float64) for _ in names]
    torch.autograd.gradcheck(f, [a.requires_grad_() for a in (x, w, *learnt)])


@pytest.mark.parametrize("method, alpha, beta", [("average", 0, 0), ("linear", 0, 1), ("exp", 1, 0), ("auto", ALPHA, 0),
                                                 ("power", 0, BETA)])
def test_general_pooling_holds_the_others(method, alpha, beta):
    case, general = make_case(), make_pooling("general")
    general.alpha.data.copy_(torch.as_tensor(alpha))
    general.beta.data.copy_(torch.as_tensor(beta))
    close(run(general, *case), run(make_pooling(method), *case))


@pytest.mark.parametrize("method", ["auto", "general"])
@EVERY_WIDTH
@EVERY_STRUCTURE
def test_pooling_nears_max_as_alpha_grows(method, dtype, hierarchy, groups):
    pooling, (_, w, _), errors = Pooling(method, 4, hierarchy, groups).to(dtype), make_case(dtype=dtype), []
    x = torch.stack([torch.randperm(13, generator=torch.Generator().manual_seed(k)) for k in range(4)], 1)[None].to(dtype) / 13
    for alpha in (1.0, 30.0, 1e6):
        pooling.alpha.data.fill_(alpha)
        y, dx, _ = run(pooling, x, w[:1])
        assert torch.isfinite(dx).all() and torch.isfinite(pooling.alpha.grad).all()
        errors.append((12 / 13 - y).abs().max().item())
    assert errors[0] > 2 * errors[1] and errors[2] <= 1e-7


@EVERY_METHOD
@EVERY_MASK
def test_weights_are_the_tables_up_to_a_factor_and_0_in_the_padding(method, kind):
    x, w, mask = make_case(kind=kind)
    found = make_pooling(method).weights(x, w, mask)
    for clip, (a, b, place) in enumerate(clips_of(x, w, mask)):
        expected = torch.zeros_like(x[clip])
        expected[place] = torch.from_numpy(plain_weight(method, a, b, b.mean(0)))
        close([found[clip] / found[clip].sum(0)], [expected / expected.sum(0)])


def check_order(pooling, x, w):
    """No frame weighs less than one of lower probability; frames alike weigh the same."""
    ordered, place = x.sort(dim=1)
    rise = pooling.weights(x, w).gather(1, place).diff(dim=1)
    assert (rise >= 0).all() and not rise[ordered.diff(dim=1) == 0].any()


@EVERY_WIDTH
@pytest.mark.parametrize("frames", [2, 3, 7, 40])
def test_monotone_attention_never_orders_weights_against_the_probabilities(dtype, frames):
    g = torch.Generator().manual_seed(frames)
    x, w = torch.rand(2, 2000, frames, 3, generator=g, dtype=dtype)
    x[:, 1::3] = torch.nextafter(x[:, :-1:3], torch.ones((), dtype=dtype))  # neighbouring numbers
    x[:, 2::3] = x[:, :1]  # ties
    x[:500] = x[:500].round(decimals=1)
    steepness = 10 ** (8 * torch.rand(2000, 1, 3, generator=g, dtype=dtype) - 4)
    check_order(Pooling("monotone-attention", 3), x, steepness * w)


@pytest.mark.parametrize("method", ["auto", "power", "general", "monotone-attention"])
def test_weights_keep_their_order_through_training(method):
    torch.manual_seed(0)
    layer, pooling, labels = torch.nn.Linear(6, 6), Pooling(method, 3), (torch.rand(40, 3) < 0.5).float()
    optimizer = torch.optim.Adam([*layer.parameters(), *pooling.parameters()], lr=0.3)
    clips = torch.randn(40, 13, 6)
    for step in range(30):
        a, b = layer(clips).chunk(2, dim=-1)
        optimizer.zero_grad()
        binary_cross_entropy(pooling(sigmoid(a), softplus(b)).clamp(1e-7, 1 - 1e-7), labels).backward()
        optimizer.step()
        pooling.project()
        assert all((parameter >= 0).all() for parameter in pooling.parameters())
    a, b = layer(torch.randn(2000, 13, 6)).chunk(2, dim=-1)
    check_order(pooling, sigmoid(a), softplus(b))


def test_learnt_parameters_start_as_the_table_says():
    start = {m: {name: p.tolist() for name, p in Pooling(m, 2).named_parameters()} for m in METHODS}
    learnt = {"auto": {"alpha": [1, 1]}, "power": {"beta": [1, 1]}, "general": {"alpha": [0, 0], "beta": [1, 1]}}
    assert start == {m: learnt.get(m, {}) for m in METHODS}


def test_projection_sets_what_is_below_0_to_0_and_leaves_the_rest():
    pooling = Pooling("general", 2)
    pooling.load_state_dict({"alpha": torch.tensor([-0.5, 2.0]), "beta": torch.tensor([0.25, -1e-9])})
    pooling.project()
    assert pooling.alpha.tolist() == [0, 2] and pooling.beta.tolist() == [0.25, 0]


@pytest.mark.parametrize("method", ["auto", "power", "general"])
@EVERY_STRUCTURE
def test_a_parameter_at_0_rises_again(method, hierarchy, groups):
    pooling, (x, _, _) = Pooling(method, 4, hierarchy, groups), make_case(dtype=torch.float32)
    optimizer = torch.optim.SGD(pooling.parameters(), lr=10)
    for sign, steps in ((1, 30), (-1, 30)):  # down to the average, and up
        for _ in range(steps):
            optimizer.zero_grad()
            (sign * pooling(x).mean()).backward()
            optimizer.step()
            pooling.project()
        assert all((parameter == 0).all() if sign > 0 else (parameter > 0.1).all() for parameter in pooling.parameters())


@EVERY_METHOD
def test_learnt_parameters_travel_in_the_state(method):
    saved, fresh = make_pooling(method), Pooling(method, 4).double()
    fresh.load_state_dict(saved.state_dict())
    close(run(fresh, *make_case()), run(saved, *make_case()), atol=0)


@EVERY_METHOD
@EVERY_STRUCTURE
@pytest.mark.parametrize("garbage", [0.99, -3.0, 1e300, float("nan"), float("inf")])
def test_padding_changes_nothing(method, hierarchy, groups, garbage):
    pooling, (x, w, _), lengths = make_pooling(method, 4, hierarchy, groups), make_case(20), (20, 7, 1)
    mask = torch.arange(20) < torch.tensor(lengths)[:, None]
    padded = [torch.where(mask[..., None], a, garbage) for a in (x, w)]
    y, dx, dw = run(pooling, *padded, mask)
    assert not dx[~mask].any() and not dw[~mask].any()
    for clip, n in enumerate(lengths):
        alone = run(pooling, x[clip:clip + 1, :n], w[clip:clip + 1, :n])
        close((y[clip:clip + 1], dx[clip:clip + 1, :n], dw[clip:clip + 1, :n]), alone)


@EVERY_METHOD
@EVERY_STRUCTURE
def test_a_clip_of_no_real_frames_scores_0_and_takes_no_gradient(method, hierarchy, groups):
    pooling, (x, w, _) = make_pooling(method, 4, hierarchy, groups), make_case()
    result = run(pooling, x, w, torch.zeros(3, 13, dtype=bool))
    assert not any(a.any() for a in (*result, *(p.grad for p in pooling.parameters())))


@EVERY_METHOD
@EVERY_STRUCTURE
@EVERY_WIDTH
def test_degenerate_clips_are_finite_both_ways(method, hierarchy, groups, dtype):
    def constant(value):
        return torch.full((1, 7, 4), value, dtype=dtype)

    def one_frame(value, rest):
        return torch.where(torch.arange(7)[:, None] == 4, value, constant(rest))

    alike = [constant(v) for v in (0.0, 1.0, 0.3, 1e-30, 1e-44)]
    one = [one_frame(1.0, v) for v in (0.0, 1e-30, 1e-44)] + [one_frame(1e-30, 0.0), one_frame(1e-44, 0.0), one_frame(0.0, 1.0)]
    weights = [constant(v) for v in (1 / 7, 0.0, 1e-44, 1e-38, 1e6)] + [one_frame(1.0, v) for v in (0.0, 1e-30, 1e-44)]
    for place, x in enumerate(alike + one):
        for w in weights:
            pooling = make_pooling(method, 4, hierarchy, groups, dtype)
            for parameter in [x.requires_grad_(), w.requires_grad_()]:
                parameter.grad = None
            y = pooling(x, w)
            if place < len(alike):
                torch.testing.assert_close(y, x[:, 0], rtol=1e-6, atol=3e-45)
            for label in (0.0, 1.0):
                binary_cross_entropy(y.clamp(1e-7, 1 - 1e-7), torch.full_like(y, label)).backward(retain_graph=True)
            y.sum().backward()
            for a in (y, x.grad, w.grad, *(p.grad for p in pooling.parameters())):
                assert a is None or torch.isfinite(a).all()


@EVERY_STRUCTURE
def test_max_sends_its_gradient_to_the_first_real_frame_on_ties(hierarchy, groups):
    mask = torch.tensor([[False, True, True, True, True]])
    for value in (0.0, 0.4, 1.0):
        _, dx, _ = run(Pooling("max", 2, hierarchy, groups), torch.full((1, 5, 2), value), torch.ones(1, 5, 2), mask)
        assert dx[0].tolist() == [[0, 0], [1, 1], [0, 0], [0, 0], [0, 0]]


@EVERY_STRUCTURE
def test_weights_that_underflow_are_averaged_over_the_real_frames(hierarchy, groups):
    x, _, mask = make_case(kind="holes", dtype=torch.float32)
    expected = torch.stack([a[m].mean(0) for a, m in zip(x, mask, strict=True)])
    for w in (0.0, 1e-42):
        close([Pooling("attention", 4, hierarchy, groups)(x, torch.full_like(x, w), mask)], [expected], atol=1e-6)


def test_power_takes_probabilities_below_its_floor_for_the_floor():
    x = torch.tensor([0.0, 1e-9, 1e-7, 1.0], dtype=torch.float64).view(1, 4, 1)
    for method in ("power", "general"):
        close([Pooling(method, 1).double().weights(x)[0, :, 0]], [torch.tensor([1e-7, 1e-7, 1e-7, 1]).double()], atol=1e-15)


@EVERY_METHOD
@EVERY_STRUCTURE
def test_half_types_are_promoted_and_double_stays_also_under_autocast(method, hierarchy, groups):
    pooling, (x, w, mask) = make_pooling(method, 4, hierarchy, groups, torch.float32), make_case(kind="padded")
    for half in (torch.bfloat16, torch.float16):
        low = x.to(half), w.to(half)
        expected = pooling(low[0].float(), low[1].float(), mask)
        with torch.autocast("cpu", torch.bfloat16):
            assert pooling(x.float(), w.float(), mask).dtype == torch.float32
            close([pooling(*low, mask), pooling(low[0].float(), low[1], mask)], [expected, expected], atol=0)
            assert pooling.double()(x, w, mask).dtype == torch.float64
        pooling.float()


@pytest.mark.parametrize("samples, counts", [(1600, [10] * 10), (4 * 882, [12, 13] * 5)])
def test_a_frame_belongs_to_the_segment_of_its_centre(samples, counts):
    segments = segment_of_frame(sum(counts), samples, 16000 if samples == 1600 else 44100)
    assert torch.bincount(segments).tolist() == counts  # at 12.5 Hz frame 11 is centred at 0.92 s, frame 12 at 1.00 s


@EVERY_METHOD
@pytest.mark.parametrize("hierarchy, groups", [(None, ()), ("published", (3, 2)), ("nested", (3, 2))])
def test_segments_are_pooled_by_the_same_function(method, hierarchy, groups):
    pooling, (x, w, _) = make_pooling(method, 4, hierarchy, groups), make_case(29)
    mask, segments = torch.arange(29) < torch.tensor([29, 17, 1])[:, None], segment_of_frame(29, 1, 10)
    found = pool_segments(pooling, x, torch.where(mask[..., None], w, torch.nan), mask, segments)
    assert found.shape == (3, 3, 4)
    for clip in range(3):
        steepness = w[clip, mask[clip]].mean(0).expand(29, 4)  # the clip's, whatever the segment
        steer = steepness if method == "monotone-attention" else w[clip]
        for s in range(3):
            frames = (segments == s) & mask[clip]
            expected = pooling(x[clip, frames][None], steer[frames][None])[0] if frames.any() else torch.zeros(4).double()
            close([found[clip, s]], [expected])


def test_segments_without_a_frame_score_0():
    x = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1)
    found = pool_segments(Pooling("exp", 1), x, None, torch.ones(1, 3, dtype=bool), segment_of_frame(3, 10, 4))
    torch.testing.assert_close(found[0, :, 0], torch.tensor([0, 0.2, 0, 0.4, 0, 0, 0.6]))


@EVERY_METHOD
def test_segments_promote_half_types(method):
    x, w, mask = (a if a.dtype == torch.bool else a.bfloat16() for a in make_case(29, kind="padded"))
    pooling, segments = Pooling(method, 4), segment_of_frame(29, 1, 10)
    close([pool_segments(pooling, x, w, mask, segments)], [pool_segments(pooling, x.float(), w.float(), mask, segments)], atol=0)


@pytest.mark.parametrize("method", ["attention", "monotone-attention"])
def test_missing_weights_are_refused(method):
    assert Pooling(method, 1).needs_weights and not Pooling("linear", 1).needs_weights
    with pytest.raises(ValueError, match=f"^{method} pooling needs the frame weights w$"):
        Pooling(method, 1)(torch.rand(1, 2, 1))


@pytest.mark.parametrize("arguments, message", [
    (("mean", 1), "unknown pooling 'mean'; known: max, average, linear, .*monotone-attention"),
    (("exp", 1, "flat", [5]), "unknown hierarchy 'flat'; known: published, plain, nested"),
    (("exp", 1, "nested"), r"a hierarchy and its groups go together; found hierarchy 'nested' and groups \[\]"),
    (("exp", 1, None, [5]), r"a hierarchy and its groups go together; found hierarchy None and groups \[5\]"),
    (("exp", 1, "plain", [5, 0]), r"groups: expected numbers of frames >= 1, found \[5, 0\]"),
    (("exp", 1, "plain", [-2]), "groups: expected"), (("exp", 1, "plain", [2.5]), "groups: expected")])
def test_settings_that_mean_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Pooling(*arguments)


def test_help_and_print_say_what_a_hierarchy_is():
    assert "telescope" in wsedtk.pooling.__doc__
    assert repr(Pooling("exp", 4, "nested", [5, 5])) == "Pooling(exp, num_classes=4, hierarchy=nested, groups=[5, 5])"
    assert repr(Pooling("exp", 4)) == "Pooling(exp, num_classes=4)"
