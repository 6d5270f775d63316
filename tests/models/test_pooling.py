"""Pooling: nine methods and four hierarchies compared with formulas and closed-form gradients.

Also order, masks, limits and segments.
"""

from functools import reduce

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy, sigmoid, softplus

import wsedtk.models.pooling
from wsedtk.models.pooling import HIERARCHIES, Pooling, pool_segments, segment_of_frame
from wsedtk.models.pooling_functions import POOLINGS

ALPHA, BETA = (
    np.array([0.7, -0.4, 3.0, 20.0]),
    np.array([0.5, 1.0, 0.0, 2.5]),
)  # of four classes; -0.4 as before `project`
GROUPS = [(5,), (5, 5), (4, 3, 2), (200,)]
EVERY = {
    "method": POOLINGS.names(),
    "shape": [(1, 4), (2, 1), (13, 4), (125, 3)],
    "kind": ["whole", "padded", "holes"],
    "groups": GROUPS,
    "structure": [(), *((h, (5, 5)) for h in HIERARCHIES)],
    "dtype": [torch.float32, torch.float64],
}


def each(*names, **values):
    """Run a test for each of the values; the names run with EVERY."""
    marks = [
        pytest.mark.parametrize(name, choice)
        for name, choice in ({name: EVERY[name] for name in names} | values).items()
    ]
    return lambda test: reduce(lambda marked, mark: mark(marked), marks, test)


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
    """Return y, and the gradients of y.sum() by x, w and the parameters."""
    x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
    pooling.zero_grad()
    y = pooling(x, w, mask)
    y.sum().backward()
    return (
        y.detach(),
        x.grad,
        torch.zeros_like(w) if w.grad is None else w.grad,
        *(p.grad for p in pooling.parameters()),
    )


def close(found, expected, atol=1e-12):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, torch.as_tensor(b), rtol=0, atol=atol)


def plain_weight(method, x, w, steepness):
    """Return f(x) of the table in help(wsedtk.models.pooling) for frames (n, K) or a group (K,)."""
    alpha, beta = ALPHA[: x.shape[-1]], BETA[: x.shape[-1]]
    return {
        "max": lambda: 1.0 * (np.arange(len(x))[:, None] == x.argmax(0)),
        "average": lambda: np.ones_like(x),
        "linear": lambda: x,
        "exp": lambda: np.exp(x),
        "attention": lambda: w,
        "auto": lambda: np.exp(alpha * x),
        "power": lambda: x**beta,
        "general": lambda: x**beta * np.exp(alpha * x),
        "monotone-attention": lambda: np.exp(steepness * x),
    }[method]()


def closed_form(method, x, w, place, size):
    """Return y, dy/dx, dy/dw, dy/dalpha, dy/dbeta for the real frames (n, K) of one clip.

    Table 1 of Wang, Li & Metze; for groups of `size` frames, table A-1 of He, Shen & Zhang.
    """
    alpha, beta, steepness = ALPHA[: x.shape[1]], BETA[: x.shape[1]], w.mean(0)
    v = plain_weight(method, x, w, steepness)
    y, judge = (v * x).sum(0) / v.sum(0), x
    # xs_j in equations (8), (A-18), (A-20), (A-23) of He, Shen & Zhang
    if size and method != "max":
        judge = np.stack(
            [(v[s] * x[s]).sum(0) / v[s].sum(0) for s in place[:, None] // size == place // size]
        )
    dx = {
        "max": v,
        "average": 0 * x + 1 / len(x),
        "linear": (x + judge - y) / x.sum(0),
        "attention": w / w.sum(0),
        "exp": (1 + judge - y) * np.exp(x) / np.exp(x).sum(0),
    }
    slope = {
        "auto": alpha,
        "power": beta / x,
        "general": beta / x + alpha,
        "monotone-attention": steepness,
    }
    dalpha, dbeta = ((v * a * (judge - y)).sum(0) / v.sum(0) for a in (x, np.log(x)))
    dw = {"attention": (judge - y) / w.sum(0), "monotone-attention": 0 * x + dalpha / len(x)}
    return (
        y,
        dx[method] if method in dx else v * (1 + slope[method] * (judge - y)) / v.sum(0),
        dw.get(method, 0 * x),
        dalpha,
        dbeta,
    )


READINGS = [
    (),
    *(("published", groups, groups[0]) for groups in GROUPS),
    *(("published-all", groups, int(np.prod(groups))) for groups in GROUPS),
]


@each("method", "shape", "kind", reading=READINGS)
def test_values_and_gradients_equal_the_papers(method, shape, kind, reading):
    """xs_j is the average over a frame's first group (published) or its last (published-all)."""
    *structure, size = reading or (0,)
    pooling, (x, w, mask) = make_pooling(method, shape[1], *structure), make_case(*shape, kind)
    y, dx, dw, *learnt = run(pooling, x, w, mask)
    places = [np.arange(shape[0])] * 3 if mask is None else [np.flatnonzero(real) for real in mask]
    forms = [
        closed_form(method, x[clip, p].numpy(), w[clip, p].numpy(), p, size)
        for clip, p in enumerate(places)
    ]
    for clip, (place, form) in enumerate(zip(places, forms, strict=True)):
        close([y[clip]], form[:1])
        close((dx[clip, place], dw[clip, place]), form[1:3], atol=1e-10)
    total = {"alpha": sum(form[3] for form in forms), "beta": sum(form[4] for form in forms)}
    close(learnt, [total[name] for name, _ in pooling.named_parameters()], atol=1e-10)


@each("method", "kind", "groups")
def test_plain_hierarchy_is_single_pooling_also_backwards(method, kind, groups):
    for frames in (1, 2, 13, 125):
        case = make_case(frames, 4, kind)
        close(
            run(make_pooling(method, 4, "plain", groups), *case), run(make_pooling(method), *case)
        )


@each("kind", method=["linear", "exp", "attention"])
def test_later_groups_change_the_gradient_of_published_all_alone(method, kind):
    case = make_case(125, 4, kind)
    first, second = (
        [run(make_pooling(method, 4, hierarchy, groups), *case) for groups in ((5,), (5, 5))]
        for hierarchy in ("published", "published-all")
    )
    close(first[1], first[0])
    close(second[0], first[0])
    shift = max(
        (a - b)[0].abs().max() for a, b in zip(second[1][1:], second[0][1:])
    )  # of the clip without padding
    assert shift > 0.01 * max(a[0].abs().max() for a in second[0][1:])


@each(
    method=POOLINGS.names(),
    hierarchy=HIERARCHIES,
    groups=[(5,), (5, 5), (5, 5, 5), (200,), (5, 30)],
)
def test_constant_weights_have_no_gradient(method, hierarchy, groups):
    """dy/dx is then the normalised weight of a frame, as always with max and average."""
    pooling, (x, w, _) = make_pooling(method, 4, hierarchy, groups), make_case(125)
    weights = pooling.weights(x, w).detach()
    _, by_x, by_w, *_ = run(pooling, x, w)
    is_share = torch.allclose(by_x, weights / weights.sum(dim=1, keepdim=True))
    is_constant = not by_w.any() if pooling.needs_weights else is_share
    assert pooling.has_constant_weights(125) == (is_constant and method not in ("max", "average"))


@each("kind", "groups", method=["max", "average"], hierarchy=HIERARCHIES)
def test_max_and_average_ignore_every_hierarchy(method, hierarchy, groups, kind):
    for frames in (1, 13, 125):
        case = make_case(frames, 4, kind)
        close(
            run(make_pooling(method, 4, hierarchy, groups), *case),
            run(make_pooling(method), *case),
            atol=0,
        )


def plain_nested(method, x, w, real, groups):
    """Compute the nested hierarchy of one clip (T, K) in loops."""

    def merge(rows):
        rows = [(frames, xs) for frames, xs in rows if frames]
        weights = [
            len(frames)
            * plain_weight(method, xs, np.exp(np.log(w[frames]).mean(0)), w[real].mean(0))
            for frames, xs in rows
        ]
        value = (
            sum(v * xs for v, (_, xs) in zip(weights, rows, strict=True)) / sum(weights)
            if rows
            else None
        )
        return sum((frames for frames, _ in rows), []), value

    rows = [([t] if real[t] else [], x[t]) for t in range(len(x))]
    for size in groups:
        rows = [merge(rows[start : start + size]) for start in range(0, len(rows), size)]
    return merge(rows)[1]


@each("shape", "kind", method=POOLINGS.names()[1:])
def test_nested_computes_group_weights_from_averages(method, shape, kind):
    x, w, mask = make_case(*shape, kind)
    real = np.ones(x.shape[:2], bool) if mask is None else mask.numpy()
    for groups in GROUPS:
        expected = [
            plain_nested(method, x[clip].numpy(), w[clip].numpy(), real[clip], groups)
            for clip in range(3)
        ]
        close([make_pooling(method, shape[1], "nested", groups)(x, w, mask)], [np.stack(expected)])


@each(method=POOLINGS.names()[2:], groups=GROUPS[:3])
def test_nested_differs_from_single_pooling(method, groups):
    x, w, _ = make_case(125)
    difference = Pooling(method, 4, "nested", groups).double()(x, w) - Pooling(method, 4).double()(
        x, w
    )
    assert (difference.abs() > 1e-7).all()


@each("method", structure=[(), ("nested", (3, 2))])
def test_gradient_is_the_numerical_one(method, structure):
    pooling, (x, w, mask) = make_pooling(method, 2, *structure), make_case(7, 2, "padded")
    names = [name for name, _ in pooling.named_parameters()]
    learnt = [torch.tensor([0.8, 1.7], dtype=torch.float64) for _ in names]

    def pool(x, w, *learnt):
        return functional_call(pooling, dict(zip(names, learnt, strict=True)), (x, w, mask))

    torch.autograd.gradcheck(pool, [a.requires_grad_() for a in (x, w, *learnt)])


@each(
    "structure",
    held=[
        ("average", 0, 0),
        ("linear", 0, 1),
        ("exp", 1, 0),
        ("auto", ALPHA, 0),
        ("power", 0, BETA),
    ],
)
def test_general_pooling_holds_the_others(held, structure):
    method, alpha, beta = held
    general = make_pooling("general", 4, *structure)
    general.alpha.data.copy_(torch.as_tensor(alpha))
    general.beta.data.copy_(torch.as_tensor(beta))
    close(
        run(general, *make_case())[:2], run(make_pooling(method, 4, *structure), *make_case())[:2]
    )


@each("structure", "dtype", method=["auto", "general"])
def test_pooling_nears_max_as_alpha_grows(method, dtype, structure):
    pooling, errors = Pooling(method, 4, *structure).to(dtype), []
    x = (
        torch.stack(
            [torch.randperm(13, generator=torch.Generator().manual_seed(k)) for k in range(4)], 1
        )[None].to(dtype)
        / 13
    )
    for alpha in (1.0, 30.0, 1e6):
        pooling.alpha.data.fill_(alpha)
        y, *gradients = run(pooling, x, x)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        errors.append((12 / 13 - y).abs().max().item())
    assert errors[0] > 2 * errors[1] and errors[2] < 1e-6


@each("method", "kind")
def test_weights_are_the_tables_up_to_a_factor_and_0_in_the_padding(method, kind):
    x, w, mask = make_case(kind=kind)
    found = make_pooling(method).weights(x, w, mask)
    for clip, real in enumerate(torch.ones(3, 13, dtype=bool) if mask is None else mask):
        v = plain_weight(
            method, *(a[clip, real].numpy() for a in (x, w)), w[clip, real].mean(0).numpy()
        )
        close([found[clip, real] / found[clip].sum(0)], [v / v.sum(0)])
        assert not found[clip, ~real].any()


def check_order(pooling, x, w):
    """No frame weighs less than one of lower probability; equal frames have equal weights."""
    ordered, place = x.sort(dim=1)
    rise = pooling.weights(x, w).gather(1, place).diff(dim=1)
    assert (rise >= 0).all() and not rise[ordered.diff(dim=1) == 0].any()


@each("dtype", frames=[2, 3, 7, 40])
def test_monotone_attention_never_orders_weights_against_the_probabilities(dtype, frames):
    g = torch.Generator().manual_seed(frames)
    x, w = torch.rand(2, 2000, frames, 3, generator=g, dtype=dtype)
    # neighbouring floating-point numbers
    x[:, 1::3] = torch.nextafter(x[:, :-1:3], torch.ones((), dtype=dtype))
    x[:, 2::3] = x[:, :1]  # ties
    x[:500] = x[:500].round(decimals=1)
    steepness = 10 ** (8 * torch.rand(2000, 1, 3, generator=g, dtype=dtype) - 4)
    check_order(Pooling("monotone-attention", 3), x, steepness * w)


@each(method=["auto", "power", "general", "monotone-attention"])
def test_weights_keep_their_order_through_training(method):
    torch.manual_seed(0)
    layer, pooling, labels = (
        torch.nn.Linear(6, 6),
        Pooling(method, 3),
        (torch.rand(40, 3) < 0.5).float(),
    )
    optimizer = torch.optim.Adam([*layer.parameters(), *pooling.parameters()], lr=0.3)
    hidden = torch.randn(40, 13, 6)
    for _ in range(30):
        x, w = layer(hidden).chunk(2, dim=-1)
        optimizer.zero_grad()
        binary_cross_entropy(
            pooling(sigmoid(x), softplus(w)).clamp(1e-7, 1 - 1e-7), labels
        ).backward()
        optimizer.step()
        pooling.project()
        assert all((parameter >= 0).all() for parameter in pooling.parameters())
    x, w = layer(torch.randn(2000, 13, 6)).chunk(2, dim=-1)
    check_order(pooling, sigmoid(x), softplus(w))


def test_what_a_method_needs_and_where_its_parameters_start():
    learnt = {
        "auto": {"alpha": [1, 1]},
        "power": {"beta": [1, 1]},
        "general": {"alpha": [0, 0], "beta": [1, 1]},
    }
    for method in POOLINGS.names():
        assert {
            name: p.tolist() for name, p in Pooling(method, 2).named_parameters()
        } == learnt.get(method, {})
        assert Pooling(method, 2).needs_weights == (method in ("attention", "monotone-attention"))


@each("structure", method=["auto", "power", "general"])
def test_a_parameter_at_0_rises_again(method, structure):
    pooling, x = (
        Pooling(method, 4, *structure),
        make_case(60, dtype=torch.float32)[0],
    )  # at least three groups
    optimizer = torch.optim.SGD(pooling.parameters(), lr=2000)
    for sign in (1, -1):  # down to the average, then up
        for _ in range(40):
            optimizer.zero_grad()
            (sign * pooling(x).mean()).backward()
            optimizer.step()
            pooling.project()
        assert all(
            (parameter == 0).all() if sign > 0 else (parameter > 0.1).all()
            for parameter in pooling.parameters()
        )


@each("method")
def test_learnt_parameters_are_in_the_state_dict(method):
    saved, fresh = make_pooling(method), Pooling(method, 4).double()
    fresh.load_state_dict(saved.state_dict())
    close(run(fresh, *make_case()), run(saved, *make_case()), atol=0)


@each("method", "structure")
def test_padding_has_no_effect_and_no_frames_score_0(method, structure):
    pooling, (x, w, _), lengths = make_pooling(method, 4, *structure), make_case(20), (20, 7, 0)
    mask = torch.arange(20) < torch.tensor(lengths)[:, None]
    alone = [
        run(pooling, x[clip, None, :n], w[clip, None, :n]) for clip, n in enumerate(lengths[:2])
    ]
    for garbage in (0.99, -3.0, 1e300, torch.nan, torch.inf):
        y, dx, dw, *learnt = run(
            pooling, *(torch.where(mask[..., None], a, garbage) for a in (x, w)), mask
        )
        for clip, n in enumerate(lengths[:2]):
            close((y[clip, None], dx[clip, None, :n], dw[clip, None, :n]), alone[clip][:3])
        close(learnt, [sum(parts) for parts in zip(*(clip[3:] for clip in alone), strict=True)])
        assert not y[2].any() and not dx[~mask].any() and not dw[~mask].any()


@each("method", "structure", "dtype")
def test_degenerate_clips_are_finite_both_ways(method, structure, dtype):
    def clips(*frame_and_rest):
        return torch.stack(
            [
                torch.where(torch.arange(7)[:, None] == 4, a, torch.full((7, 4), b, dtype=dtype))
                for a, b in frame_and_rest
            ]
        )

    values, tiny = (
        torch.tensor([0.0, 1.0, 0.3, 1e-30, 1e-44], dtype=dtype),
        [(1.0, 0.0), (1.0, 1e-30), (1.0, 1e-44)],
    )
    x = clips(*zip(values, values, strict=True), *tiny, (1e-30, 0.0), (1e-44, 0.0), (0.0, 1.0))
    w = clips(*((v, v) for v in (1 / 7, 0.0, 1e-44, 1e-38, 1e6, 1e30)), *tiny)
    pooling, constant = (
        make_pooling(method, 4, *structure, dtype=dtype),
        values.repeat_interleave(len(w))[:, None].expand(-1, 4),
    )
    x, w = x.repeat_interleave(len(w), 0).requires_grad_(), w.repeat(len(x), 1, 1).requires_grad_()
    y = pooling(x, w)
    torch.testing.assert_close(y[: len(constant)], constant, rtol=1e-6, atol=3e-45)
    (
        y
        + sum(
            binary_cross_entropy(y.clamp(1e-7, 1 - 1e-7), torch.full_like(y, label))
            for label in (0, 1)
        )
    ).sum().backward()
    assert all(
        torch.isfinite(a).all()
        for a in (y, x.grad, w.grad, *(p.grad for p in pooling.parameters()))
        if a is not None
    )


@each("structure", value=[0.0, 0.4, 0.83, 1.0])  # the float32 average of five 0.83 is above 0.83
def test_max_sends_its_gradient_to_the_first_real_frame_on_ties(structure, value):
    x, mask = torch.full((1, 10, 2), value), torch.arange(10)[None] > 0
    assert (
        run(Pooling("max", 2, *structure), x, x, mask)[1][0].tolist()
        == [[0, 0], [1, 1]] + [[0, 0]] * 8
    )


@each("structure", w=[0.0, 1e-42, 1e-37, 1e37])
def test_equal_weights_of_any_size_average_the_real_frames(structure, w):
    x, _, mask = make_case(125, kind="holes", dtype=torch.float32)
    expected = torch.stack([a[m].mean(0) for a, m in zip(x, mask, strict=True)])
    close(
        [Pooling("attention", 4, *structure)(x, torch.full_like(x, w), mask)], [expected], atol=1e-6
    )


@each(method=["power", "general"])
def test_power_lifts_probabilities_to_its_floor(method):
    x = torch.tensor([0.0, 1e-9, 1e-7, 1.0], dtype=torch.float64).view(1, 4, 1)
    close(
        [Pooling(method, 1).double().weights(x)[0, :, 0]],
        [torch.tensor([1e-7, 1e-7, 1e-7, 1.0], dtype=x.dtype)],
        atol=1e-14,
    )


@each("method", "structure", half=[torch.bfloat16, torch.float16])
def test_half_types_become_float32_and_float64_stays_also_under_autocast(method, structure, half):
    pooling, (x, w, mask) = (
        make_pooling(method, 4, *structure, dtype=torch.float32),
        make_case(kind="padded"),
    )
    low = x.to(half), w.to(half)
    expected = pooling(*(a.float() for a in low), mask)
    with torch.autocast("cpu", torch.bfloat16):
        close(
            [pooling(*low, mask), pooling(low[0].float(), low[1], mask)],
            [expected, expected],
            atol=0,
        )
        assert (
            pooling(x.float(), w.float(), mask).dtype == torch.float32
            and pooling.double()(x, w, mask).dtype == torch.float64
        )


@each(
    case=[(16000, 1600, [10] * 10), (44100, 4 * 882, [12, 13] * 5)]
)  # at 12.5 Hz, the centre of frame 11 is 0.92 s, that of 12 is 1.00 s
def test_a_frame_belongs_to_the_segment_of_its_centre(case):
    rate, samples_per_frame, counts = case
    assert torch.bincount(segment_of_frame(sum(counts), samples_per_frame, rate)).tolist() == counts


@each(
    "method", structure=[(), ("published", (3, 2)), ("published-all", (3, 2)), ("nested", (3, 2))]
)
def test_segments_are_pooled_by_the_same_function(method, structure):
    pooling, (x, w, _), segments = (
        make_pooling(method, 4, *structure),
        make_case(29),
        segment_of_frame(29, 1, 10),
    )
    mask = torch.arange(29) < torch.tensor([29, 17, 1])[:, None]
    found = pool_segments(pooling, x, torch.where(mask[..., None], w, torch.nan), mask, segments)
    for clip in range(3):
        steer = (
            w[clip, mask[clip]].mean(0).expand(29, 4) if method == "monotone-attention" else w[clip]
        )  # the steepness of the clip
        parts = [(segments == s) & mask[clip] for s in range(3)]
        alone = [
            pooling(x[None, clip, p], steer[None, p])[0] if p.any() else torch.zeros(4).double()
            for p in parts
        ]
        close([found[clip]], [torch.stack(alone)])


@each("method")
def test_segments_promote_half_types(method):
    x, w, mask = make_case(29, kind="padded", dtype=torch.bfloat16)
    promoted = pool_segments(
        Pooling(method, 4), x.float(), w.float(), mask, segment_of_frame(29, 1, 10)
    )
    close(
        [pool_segments(Pooling(method, 4), x, w, mask, segment_of_frame(29, 1, 10))],
        [promoted],
        atol=0,
    )


@each(
    case=[
        (("mean",), "unknown pooling 'mean'; known: max, average, linear, .*monotone-attention"),
        (
            ("exp", "flat", [5]),
            "unknown hierarchy 'flat'; known: published, published-all, plain, nested",
        ),
        (("exp", "nested"), r"or neither of them; found hierarchy 'nested' and groups \[\]"),
        (("exp", None, [5]), r"or neither of them; found hierarchy None and groups \[5\]"),
        (("exp", "plain", [5, 0]), r"groups: expected whole numbers >= 1, found \[5, 0\]"),
        (("exp", "plain", [-2]), "groups: expected"),
        (("exp", "plain", [2.5]), "groups: expected"),
        (("attention",), "^attention pooling needs the frame weights w"),
        (("monotone-attention",), "^monotone-attention pooling needs the frame weights w"),
    ]
)
def test_wrong_arguments_are_refused(case):
    (method, *structure), message = case
    with pytest.raises(ValueError, match=message):
        Pooling(method, 1, *structure)(torch.rand(1, 2, 1))


def test_help_and_print_say_what_a_hierarchy_is():
    for said in (
        "average over all frames",
        "groups [5] and [5, 5] have the same gradient",
        *HIERARCHIES,
    ):
        assert said in wsedtk.models.pooling.__doc__
    assert (
        repr(Pooling("exp", 4, "nested", [5, 5]))
        == "Pooling(exp, num_classes=4, hierarchy=nested, groups=[5, 5])"
    )
