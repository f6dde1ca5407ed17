"""SuDoRM-RF against a plain reading of the papers in numpy, in double precision, without modules and masks."""

import numpy as np
import pytest
import torch

from voxid.models.separation.sudormrf import VARIANTS, SuDoRMRF

SMALL = {"num_basis": 12, "channels": 8, "hidden": 16, "num_blocks": 2, "downsamplings": 3, "groups": 4}


def small(variant: str, **options: object) -> SuDoRMRF:
    """A net whose norms, slopes and gains are those of no fresh one."""
    torch.manual_seed(0)
    net = SuDoRMRF(variant=variant, **(SMALL | options))
    for parameter in net.parameters():
        if parameter.ndim <= 1 and parameter.requires_grad:
            torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return net.eval()


class Reading:
    """The arithmetic of a net on one waveform [T], straight from its weights, one tap and one norm at a time."""

    def __init__(self, net: SuDoRMRF) -> None:
        self.w = {name.removeprefix("net."): value.double().numpy() for name, value in net.state_dict().items()}
        self.spec = net.spec
        self.hop = net.spec["kernel_size"] // 2
        self.first = net.spec["variant"] == "original"

    def conv(self, name: str, x: np.ndarray, stride: int = 1, left: int = 0, right: int = 0) -> np.ndarray:
        kernel, bias = self.w[f"{name}.weight"], self.w.get(f"{name}.bias")
        if x.shape[0] != kernel.shape[1]:  # depthwise: one filter a channel
            kernel = np.stack([np.eye(len(kernel)) * kernel[:, 0, tap] for tap in range(kernel.shape[2])], axis=2)
        x = np.pad(x, ((0, 0), (left, right)))
        steps = (x.shape[1] - kernel.shape[2]) // stride + 1
        out = [np.einsum("oik,ik->o", kernel, x[:, n * stride : n * stride + kernel.shape[2]]) for n in range(steps)]
        return np.stack(out, axis=1) + (0 if bias is None else bias[:, None])

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        scaled = (x - x.mean()) / np.sqrt(x.var() + 1e-8)
        return scaled * self.w[f"{name}.weight"][:, None] + self.w[f"{name}.bias"][:, None]

    def prelu(self, name: str, x: np.ndarray) -> np.ndarray:
        slopes = self.w[f"{name}.weight"]
        return np.maximum(x, 0) + slopes.reshape(-1, *[1] * (x.ndim - 1)) * np.minimum(x, 0)

    def up(self, levels: list[np.ndarray]) -> np.ndarray:
        y = levels[-1]
        for finer in levels[-2::-1]:
            y = finer + np.stack([y[:, n // 2] for n in range(finer.shape[1])], axis=1)
        return y

    def block(self, at: str, x: np.ndarray) -> np.ndarray:
        y = self.prelu(f"{at}.expand_norm.act", self.norm(f"{at}.expand_norm.norm", self.conv(f"{at}.expand", x)))
        levels = []
        for level in range(self.spec["downsamplings"] + 1):
            y = self.norm(f"{at}.scales.{level}.norm", self.conv(f"{at}.scales.{level}.conv", y, 2 if level else 1, 2, 2))
            levels.append(y)
        y = self.prelu(f"{at}.sum_norm.act", self.norm(f"{at}.sum_norm.norm", self.up(levels)))
        y = self.conv(f"{at}.reduce", y)
        if not self.first:
            return x + y
        return self.prelu(f"{at}.last_norm.act", self.norm(f"{at}.last_norm.norm", x + self.norm(f"{at}.reduce_norm", y)))

    def group_block(self, at: str, x: np.ndarray) -> np.ndarray:
        groups = np.split(x, self.spec["groups"])
        own = [self.prelu(f"{at}.enter.1", self.conv(f"{at}.enter.0", group)) for group in groups]
        mean = self.prelu(f"{at}.mean.1", self.conv(f"{at}.mean.0", sum(own) / len(own)))
        told = [self.prelu(f"{at}.leave.1", self.conv(f"{at}.leave.0", np.concatenate([one, mean]))) for one in own]
        mixed = [group + self.norm(f"{at}.norm", one) for group, one in zip(groups, told, strict=True)]
        return np.concatenate([self.block(f"{at}.block", one) for one in mixed])

    def causal_block(self, at: str, x: np.ndarray) -> np.ndarray:
        y = self.prelu(f"{at}.expand_act", self.conv(f"{at}.expand", x))
        levels = []
        for level in range(self.spec["downsamplings"] + 1):
            y = self.prelu(f"{at}.acts.{level}", self.conv(f"{at}.scales.{level}.conv", y, 2 if level else 1, left=10))
            levels.append(y)
        return x + self.w[f"{at}.gain"] * self.conv(f"{at}.reduce", self.up(levels))

    def sliding(self, x: np.ndarray) -> np.ndarray:
        """Logits [S, F, N]: each filter slides along the bases of a frame."""
        x = np.pad(self.conv("head.widen", x), ((len(self.w["head.filters"][0]) // 2,) * 2, (0, 0)))
        filters = self.w["head.filters"]
        rows = x.shape[0] - filters.shape[1] + 1
        out = [
            [filters[s] @ x[f : f + filters.shape[1]] + self.w["head.bias"][s] for f in range(rows)] for s in range(len(filters))
        ]
        return np.array(out)

    def dense(self, x: np.ndarray) -> np.ndarray:
        out = self.conv("head.conv", self.prelu("head.act", x))
        return out.reshape(-1, self.spec["num_basis"], out.shape[1])

    def decode(self, name: str, x: np.ndarray, samples: int) -> np.ndarray:
        """Overlap-add of frames [S, F, N] whose middle lies on sample n * hop."""
        kernel, bias = self.w[f"{name}.weight"], self.w.get(f"{name}.bias")
        out = np.zeros((len(x), x.shape[2] * self.hop + 2 * self.hop + 1))
        for s, f, n in np.ndindex(x.shape):
            for o in [s] if self.first else range(len(x)):
                row = kernel[s * x.shape[1] + f, 0 if self.first else o]
                out[o, n * self.hop : n * self.hop + len(row)] += x[s, f, n] * row
        return out[:, self.hop : self.hop + samples] + (0 if bias is None else bias[:, None])

    def whole(self, waveform: np.ndarray) -> np.ndarray:
        level = np.sqrt(waveform.var() + 1e-16)
        x = (waveform - waveform.mean())[None] / level
        frames = -(-x.shape[1] // self.hop)
        v = self.conv("encoder", x, self.hop, self.hop, (frames + 1) * self.hop - x.shape[1])
        v = np.maximum(v, 0) if self.first else v
        y = self.conv("bottleneck", self.norm("norm", v))
        for number in range(self.spec["num_blocks"]):
            block = self.group_block if self.spec["variant"] == "groupcomm" else self.block
            y = block(f"blocks.{number}", y)
        if self.first:
            z = np.exp(self.sliding(y))
            mask = z / z.sum(axis=0)
        else:
            mask = np.maximum(self.dense(y), 0)
        return self.decode("decoder", mask * v, x.shape[1]) * level

    def causal(self, waveform: np.ndarray) -> np.ndarray:
        frames = (len(waveform) - 1) // self.hop + 2
        x = np.pad(waveform, (0, (frames - 1) * self.hop + 1 - len(waveform)))
        level = np.array([np.sqrt(np.mean(x[: n * self.hop + 1] ** 2) + 1e-16) for n in range(frames)])
        y = self.conv("bottleneck", self.conv("encoder.conv", x[None], self.hop, 2 * self.hop) / level)
        for number in range(self.spec["num_blocks"]):
            y = self.causal_block(f"blocks.{number}", y)
        out = self.prelu("head.activation.act", self.dense(y)) * level
        return self.decode("decoder.conv", out, len(waveform))


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("samples", [1, 10, 187, 320])
def test_a_net_is_what_the_papers_say(variant: str, samples: int) -> None:
    net, waveform = small(variant).double(), torch.randn(1, samples).double() * 0.1 + 0.05
    reading = Reading(net)
    expected = (reading.causal if variant == "causal" else reading.whole)(waveform[0].numpy())
    with torch.inference_mode():
        found = net(waveform)[0].numpy()
    assert found.shape == expected.shape == (2, samples)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * max(1e-3, np.abs(expected).max()))
