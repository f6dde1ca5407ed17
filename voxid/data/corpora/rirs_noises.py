"""RIRS_NOISES: impulse responses, simulated and measured, and noise, for augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders, recordings
from voxid.registry import register

SIMULATED = ("simulated_rirs/smallroom", "simulated_rirs/mediumroom", "simulated_rirs/largeroom")
REAL, POINT = "real_rirs_isotropic_noises", "pointsource_noises"


@register("corpus", "rirs_noises")
def rirs_noises(root: Path) -> Iterator[Row]:
    """Rows of RIRS_NOISES: ``simulated_rirs/smallroom/Room001/Room001-00001.wav``, ``real_rirs_isotropic_noises`` and
    ``pointsource_noises``.

    ``kind`` is ``rir`` or ``noise``, ``source`` is simulated, real, isotropic or pointsource; simulated responses also have a
    ``room`` (small, medium, large) and a ``session`` (Room001). Measured responses have several channels, of which the first is
    read.

    Ko et al., "A study on data augmentation of reverberant speech for robust speech recognition", ICASSP 2017.
    """
    expected = "simulated_rirs/{small,medium,large}room/RoomNNN/*.wav, real_rirs_isotropic_noises/ or pointsource_noises/"
    for place in find_folders(root, "RIRS_NOISES", (*SIMULATED, REAL, POINT), expected):
        pattern = r"(?P<session>Room\d+)/[^/]+" if place in SIMULATED else r"(.+/)?(?P<file>[^/]+)"
        for name, match in recordings(root, place, pattern):
            yield Row(name, None, {}) if match is None else Row(name, "", _columns(place, match.groupdict()))


def _columns(place: str, groups: dict[str, str]) -> dict[str, str]:
    if place in SIMULATED:
        room = place.rpartition("/")[2].removesuffix("room")
        return {"kind": "rir", "source": "simulated", "room": room, "session": groups["session"]}
    if place == POINT:
        return {"kind": "noise", "source": "pointsource"}
    # One folder holds both; the names say it: RVB2014_type1_rir_largeroom1_far_angla, RVB2014_type1_noise_largeroom1_1.
    is_noise = "noise" in groups["file"].lower()
    return {"kind": "noise", "source": "isotropic"} if is_noise else {"kind": "rir", "source": "real"}
