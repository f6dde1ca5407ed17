"""Turned angles against the arc cosine."""

from __future__ import annotations

import math

import torch

from voxid.losses.cosine import nearer, turn


def test_turning_is_adding_to_the_angle() -> None:
    angle = torch.linspace(0.3, 2.7, 50, dtype=torch.float64)
    for step in (0.2, -0.2, 0.0):
        torch.testing.assert_close(turn(angle.cos(), step), (angle + step).cos(), rtol=0, atol=1e-9)


def test_nearer_never_falls() -> None:
    cosine = torch.linspace(-1.0, 1.0, 20001, dtype=torch.float64)
    raised = nearer(cosine, 0.2)
    # at -1 the angle is pi and its sine 0: the floor under the root is the only place where the slope is not that of the cosine
    assert bool((raised.diff()[1:] > 0).all())
    assert bool((raised >= cosine).all())
    wide = cosine < math.cos(0.2)
    torch.testing.assert_close(raised[wide], (cosine[wide].acos() - 0.2).cos(), rtol=0, atol=1e-6)
