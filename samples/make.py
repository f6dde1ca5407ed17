"""Make the sample recordings again: python samples/make.py (needs the program espeak-ng).

Three synthetic voices, two sentences each, 16 kHz mono Ogg Opus.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import soundfile
import soxr

RATE = 16000
# Name: language and variant, pitch (0 to 99), words a minute.
VOICES = {
    "anna": ("en-us+f3", 75, 165),
    "ben": ("en-us+klatt2", 25, 165),
    "clara": ("en-us+steph", 65, 165),
}
SENTENCES = {
    "1": "The morning train to the coast was late again, so we walked down to the harbour.",
    "2": "My voice should sound familiar to you, even though these words are quite different.",
}


def speak(voice: str, pitch: int, speed: int, text: str, output: Path) -> None:
    """Write one sentence of one voice to `output`."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "-w", str(wav), text]
        subprocess.run(command, check=True)
        samples, rate = soundfile.read(wav, dtype="float32")
    samples = soxr.resample(samples, rate, RATE, quality="VHQ")
    samples *= 0.6 / abs(samples).max()  # room for what the codec adds
    soundfile.write(output, samples, RATE, format="OGG", subtype="OPUS", compression_level=0.9)


def main() -> None:
    """Write all samples beside this file."""
    for name, (voice, pitch, speed) in VOICES.items():
        for number, text in SENTENCES.items():
            speak(voice, pitch, speed, text, Path(__file__).with_name(f"{name}_{number}.opus"))


if __name__ == "__main__":
    main()
