from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.model.encoders.osnet import NAMES, OSNet, osnet_state
from training.model.encoders.trunk import PROJECTED_NORM, Composition

SMALL = (64, 32)  # H, W of frames; 4 x 2 cells
State = Mapping[str, Tensor]

# parameters in millions and multiply-adds in thousands of millions at 256 x 128, of torchreid's model zoo
ZOO = {
    "osnet_x1_0": (2.2, 0.98),
    "osnet_x0_75": (1.3, 0.57),
    "osnet_x0_5": (0.6, 0.27),
    "osnet_x0_25": (0.2, 0.08),
    "osnet_ibn_x1_0": (2.2, 0.98),
    "osnet_ain_x1_0": (2.2, 0.98),
}
# the same to the last digit, as torchreid prints them
PRINTED = {"osnet_x1_0": (2_193_616, 978_878_352), "osnet_x0_25": (203_568, 82_316_000)}

# layers of the first block of a stage
COMMON = {"conv1.conv", "conv1.bn", "gate.fc1", "gate.fc2", "conv3.conv", "downsample.conv", "downsample.bn"}
STREAMS = {"conv2a", "conv2b.0", "conv2b.1", "conv2c.0", "conv2c.1", "conv2c.2"}
STREAMS |= {"conv2d.0", "conv2d.1", "conv2d.2", "conv2d.3"}
AIN_STREAMS = {"conv2.0.layers.0", "conv2.1.layers.0", "conv2.1.layers.1"}
AIN_STREAMS |= {"conv2.2.layers.0", "conv2.2.layers.1", "conv2.2.layers.2"}
AIN_STREAMS |= {"conv2.3.layers.0", "conv2.3.layers.1", "conv2.3.layers.2", "conv2.3.layers.3"}
PLAIN_BLOCK = COMMON | {"conv3.bn"} | {f"{s}.{part}" for s in STREAMS for part in ("conv1", "conv2", "bn")}
AIN_BLOCK = COMMON | {"IN"} | {f"{s}.{part}" for s in AIN_STREAMS for part in ("conv1", "conv2", "bn")}


@pytest.fixture
def published(shared_data: Path) -> State:
    """The state dict of a published file of osnet_x0_25, classifier and all."""
    path = shared_data.parent / "weights" / "osnet" / "osnet_x0_25_msmt17.pth"
    if not path.is_file():
        pytest.skip(f"no published weights of OSNet beside the project ({path})")
    state: State = torch.load(path, weights_only=True)
    return state


def random_osnet(name: str, size: tuple[int, int] = SMALL) -> OSNet:
    """In evaluation, with random weights and statistics that keep activations at about 1."""
    torch.manual_seed(0)
    model = OSNet(name, size).eval()
    for key, value in model.state_dict().items():
        if value.dim() > 1:
            value.normal_().div_(value[0].numel() ** 0.5)
        elif key.endswith((".weight", "_var")):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            value.normal_(0, 0.1)
    return model


def frames(count: int, size: tuple[int, int] = SMALL) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_multiplications_are_as_many_as_published(name: str) -> None:
    """Counted layer by layer as they run, as torchreid does: the gate, which four streams share, counts four times."""
    model, counts = OSNet(name).eval(), [0, 0]

    def count(layer: nn.Module, _: object, out: Tensor) -> None:
        counts[0] += sum(p.numel() for p in layer.parameters())
        if isinstance(layer, nn.Conv2d):
            counts[1] += out.numel() * (layer.weight[0].numel() + (layer.bias is not None))
        if isinstance(layer, nn.Linear):  # of the global token only
            counts[1] += layer.weight.numel() + layer.out_features

    for layer in model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(frames(1, (256, 128)), None)
    assert (round(counts[0] / 1e6, 1), round(counts[1] / 1e9, 2)) == ZOO[name]
    assert tuple(counts) == PRINTED.get(name, tuple(counts))


def test_a_published_file_has_the_keys_and_shapes_of_its_model(published: State) -> None:
    state, dropped = osnet_state(published)
    assert dropped == ["classifier.weight", "classifier.bias"]
    expected = {key: value.shape for key, value in OSNet("osnet_x0_25").state_dict().items()}
    assert {key: value.shape for key, value in state.items()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_layers_have_torchreids_names(name: str) -> None:
    layers = {key.rpartition(".")[0] for key in OSNet(name).state_dict()}
    ain, ibn = name == "osnet_ain_x1_0", name == "osnet_ibn_x1_0"
    first = {layer.removeprefix("conv2.0.") for layer in layers if layer.startswith("conv2.0.")}
    assert first == (AIN_BLOCK if ain else PLAIN_BLOCK | {"IN"} if ibn else PLAIN_BLOCK)
    blocks = {f"conv{stage}.{block}" for stage in (2, 3, 4) for block in (0, 1)}
    outside = {layer for layer in layers if ".".join(layer.split(".")[:2]) not in blocks}
    halving = ("pool2.0", "pool3.0") if ain else ("conv2.2.0", "conv3.2.0")
    assert outside == {f"{part}.{kind}" for part in ("conv1", "conv5", *halving) for kind in ("conv", "bn")} | {
        "fc.0",
        "fc.1",
    }
    assert {layer for layer in layers if layer.endswith("downsample.conv")} == {
        f"conv{stage}.0.downsample.conv" for stage in (2, 3, 4)
    }


@pytest.mark.parametrize("name", NAMES)
def test_instance_norms_are_only_where_ibn_and_ain_have_them(name: str) -> None:
    found = {path for path, layer in OSNet(name).named_modules() if isinstance(layer, nn.InstanceNorm2d)}
    assert found == {
        "osnet_ibn_x1_0": {"conv1.bn", "conv2.0.IN", "conv2.1.IN"},
        "osnet_ain_x1_0": {"conv1.bn", "conv2.0.IN", "conv2.1.IN", "conv3.1.IN", "conv4.0.IN"},
    }.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_those_that_the_weights_alone_say(name: str) -> None:
    model = random_osnet(name)
    with torch.no_grad():
        tokens = model.raw_tokens(frames(2))
        projected = model.project(tokens)
    expected = slow_tokens(model.state_dict(), frames(2))
    assert tokens.shape == (2, 1 + 4 * 2, model.token_width)
    assert projected.shape == (2, 1 + 4 * 2, model.projected_width)
    assert_near(tokens, expected)
    assert_near(projected, slow_projection(model.state_dict(), expected))


def test_published_weights_give_the_tokens_that_they_alone_say(published: State) -> None:
    model, state = OSNet("osnet_x0_25").eval(), osnet_state(published)[0]
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        tokens = model.raw_tokens(frames(2, model.size))
        projected = model.project(tokens)
    expected = slow_tokens(state, frames(2, model.size))
    assert tokens.shape == (2, 1 + 16 * 8, 128)
    assert_near(tokens, expected)
    assert_near(projected, slow_projection(state, expected))


def test_the_first_token_is_the_mean_of_the_others() -> None:
    tokens = random_osnet("osnet_x0_25").raw_tokens(frames(2))
    torch.testing.assert_close(tokens[:, 0], tokens[:, 1:].mean(dim=1))


def test_tokens_are_given_at_a_size_as_clips_and_stay_as_near_to_each_other() -> None:
    model = random_osnet("osnet_x0_25")
    with torch.no_grad():
        tokens, projected = model(frames(2), None)
        raw = model.raw_tokens(frames(2))
    centred = raw - raw.mean(dim=-1, keepdim=True)
    torch.testing.assert_close(F.cosine_similarity(tokens, centred, dim=-1), torch.ones(2, 9))
    torch.testing.assert_close(tokens.square().mean(dim=-1), torch.ones(2, 9), rtol=0.05, atol=0)
    torch.testing.assert_close(F.cosine_similarity(projected, model.project(raw), dim=-1), torch.ones(2, 9))
    torch.testing.assert_close(projected.norm(dim=-1), torch.full((2, 9), PROJECTED_NORM))


def test_a_camera_moves_the_global_token_alone() -> None:
    model, shift = random_osnet("osnet_x0_25"), torch.randn(2, 128)
    with torch.no_grad():
        tokens, projected = model(frames(2), None)
        moved, moved_projected = model(frames(2), shift)
    torch.testing.assert_close(moved[:, 0], tokens[:, 0] + shift)
    assert torch.equal(moved[:, 1:], tokens[:, 1:])
    assert torch.equal(moved_projected, projected)


def test_the_embedding_is_the_mean_of_the_features_of_frames_each_of_unit_length() -> None:
    model = random_osnet("osnet_x0_25")
    with torch.no_grad():
        _, projected = model(frames(3), None)
        features = model.project(model.raw_tokens(frames(3)))[:, 0]
    expected = sum(feature / feature.norm() for feature in features) / 3
    assert model.ranked_by == Composition(("projected",))
    torch.testing.assert_close(projected[:, 0].mean(0) / PROJECTED_NORM, expected)


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x1_0"])
def test_activations_worked_out_again_give_the_same_gradients_and_take_less_room(name: str) -> None:
    model, found = random_osnet(name), []
    for model.checkpointing in (False, True):
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t):
            tokens, projected = model(frames(2), None)
        model.zero_grad()
        (tokens.square().mean() + projected.square().mean()).backward()
        found.append((tokens, projected, [p.grad for p in model.parameters()], sum(kept)))
    (*plain, all_kept), (*again, few_kept) = found
    torch.testing.assert_close(again, plain)
    assert few_kept < all_kept / 2


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize(
    "name", ["osnet_x0_25", *(pytest.param(f"osnet_{kind}_x1_0", marks=pytest.mark.slow) for kind in ("ibn", "ain"))]
)
def test_a_graph_traced_with_one_batch_size_serves_another(name: str) -> None:
    model = random_osnet(name)
    with torch.no_grad():
        traced = torch.jit.trace(model, (frames(2), torch.zeros(2, model.token_width)))
        given = frames(3), torch.randn(3, model.token_width)
        torch.testing.assert_close(traced(*given), model(*given))


def test_an_exported_graph_serves_any_batch_size() -> None:
    model, batch = random_osnet("osnet_x0_25"), torch.export.Dim("batch")
    with torch.no_grad():
        example = frames(2), torch.zeros(2, model.token_width)
        program = torch.export.export(model, example, dynamic_shapes=({0: batch}, {0: batch}))
        given = frames(3), torch.randn(3, model.token_width)
        torch.testing.assert_close(program.module()(*given), model(*given))


def test_only_a_classifier_is_left_out_of_a_state() -> None:
    state = {"fc.0.weight": torch.ones(1), "classifier.weight": torch.ones(2), "classifier.bias": torch.ones(3)}
    kept, dropped = osnet_state(state)
    assert kept == {"fc.0.weight": state["fc.0.weight"]}
    assert dropped == ["classifier.weight", "classifier.bias"]


def assert_near(found: Tensor, expected: Tensor) -> None:
    """To 1e-5 of the largest entry."""
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def slow_tokens(state: State, x: Tensor) -> Tensor:
    """Tokens (B, N, D) in float64: the papers' network, function by function, from names and values of a state dict."""
    state = {key: value.double() for key, value in state.items()}

    def norm(name: str, x: Tensor) -> Tensor:
        scale, shift = state[f"{name}.weight"], state[f"{name}.bias"]
        if f"{name}.running_mean" not in state:
            return F.instance_norm(x, weight=scale, bias=shift)
        return F.batch_norm(x, state[f"{name}.running_mean"], state[f"{name}.running_var"], scale, shift)

    def convolved(name: str, x: Tensor) -> Tensor:
        x = F.conv2d(x, state[f"{name}.conv.weight"])
        return norm(f"{name}.bn", x) if f"{name}.bn.weight" in state else x

    def light(name: str, x: Tensor) -> Tensor:
        x = F.conv2d(x, state[f"{name}.conv1.weight"])
        return F.relu(norm(f"{name}.bn", F.conv2d(x, state[f"{name}.conv2.weight"], padding=1, groups=x.shape[1])))

    def gated(name: str, x: Tensor) -> Tensor:
        weights = F.adaptive_avg_pool2d(x, 1)
        weights = F.relu(F.conv2d(weights, state[f"{name}.fc1.weight"], state[f"{name}.fc1.bias"]))
        return x * torch.sigmoid(F.conv2d(weights, state[f"{name}.fc2.weight"], state[f"{name}.fc2.bias"]))

    def block(name: str, x: Tensor) -> Tensor:
        narrow, mixed = F.relu(convolved(f"{name}.conv1", x)), torch.zeros((), dtype=torch.float64)
        for number, letter in enumerate("abcd"):
            layers = [f"conv2{letter}.{k}" for k in range(number + 1)] if number else ["conv2a"]
            if f"{name}.conv2.0.layers.0.conv1.weight" in state:
                layers = [f"conv2.{number}.layers.{k}" for k in range(number + 1)]
            stream = narrow
            for layer in layers:
                stream = light(f"{name}.{layer}", stream)
            mixed = mixed + gated(f"{name}.gate", stream)
        out = convolved(f"{name}.conv3", mixed)
        shortcut = convolved(f"{name}.downsample", x) if f"{name}.downsample.conv.weight" in state else x
        if f"{name}.IN.weight" not in state:
            return F.relu(out + shortcut)
        if f"{name}.conv3.bn.weight" not in state:  # AIN: on the branch, in place of its batch norm
            return F.relu(norm(f"{name}.IN", out) + shortcut)
        return F.relu(norm(f"{name}.IN", out + shortcut))

    x = F.conv2d(x.double(), state["conv1.conv.weight"], stride=2, padding=3)
    x = F.max_pool2d(F.relu(norm("conv1.bn", x)), 3, stride=2, padding=1)
    for stage in (2, 3, 4):
        x = block(f"conv{stage}.1", block(f"conv{stage}.0", x))
        for halving in (f"conv{stage}.2.0", f"pool{stage}.0"):
            if f"{halving}.conv.weight" in state:
                x = F.avg_pool2d(F.relu(convolved(halving, x)), 2)
    x = F.relu(convolved("conv5", x))
    return torch.stack([F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0], *x.flatten(2).unbind(2)], dim=1)


def slow_projection(state: State, tokens: Tensor) -> Tensor:
    """Projected tokens (B, N, P) in float64."""
    state = {key: value.double() for key, value in state.items()}
    projected = []
    for rows in tokens.unbind(1):
        rows = F.linear(rows, state["fc.0.weight"], state["fc.0.bias"])
        statistics = state["fc.1.running_mean"], state["fc.1.running_var"]
        projected.append(F.relu(F.batch_norm(rows, *statistics, state["fc.1.weight"], state["fc.1.bias"])))
    return torch.stack(projected, dim=1)
