"""
How well the tiny talker talks: held-out people and voices, through the pack's own nodes, read by a ruler that is
taught on true pictures first. Prints the numbers beside the ruler's own, and writes a sheet of pictures to look at.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .comfyui import import_comfyui
from .example_person import shut
from .talker import digest, require_espeak

if TYPE_CHECKING:
    from ..vexpress.training.faces import Drawn
    from ..vexpress.training.identity import Identity
    from ..vexpress.training.likeness import Likeness
    from ..vexpress.training.motion import Motion
    from ..vexpress.training.ruler import Film, Ruler

SECONDS, FPS, SIZE = 2.0, 30.0, 128
PEOPLE = 24
SEEN_BY = "seen by"  # in the metadata of a ruler
RULER_STEPS, RULER_BATCH = 600, 32
LIKENESS_PEOPLE, LIKENESS_EACH = 160, 8
RULER_PEOPLE, LIKENESS_FIRST = 5 << 26, 6 << 26  # people that were not learnt from


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py talker_score", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the ruler and the results are kept")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--cfg", type=float, default=1.0)
    parser.add_argument("--audio-weight", type=float, default=0.9)
    parser.add_argument("--reference-weight", type=float, default=1.0)
    parser.add_argument("--people", type=int, default=PEOPLE)
    options = parser.parse_args(arguments)
    require_espeak()
    import_comfyui()
    options.folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(False), torch.no_grad():
        score(options)
    return 0


def score(options: argparse.Namespace) -> None:
    from ..vexpress.training.autoencoder import signal_to_noise
    from ..vexpress.training.ruler import score as score_films

    talker = Talker()
    measures = taught_measures(
        options.folder / "ruler.safetensors",
        SIZE,
        lambda drawn: half_blurred(drawn, talker.autoencoder),
        digest(talker.autoencoder.state_dict()),
    )
    heard, true = zip(*(true_film(i) for i in range(options.people)), strict=True)
    decoded = [film._replace(images=talker.decoded(film.images)) for film in true]
    made = [
        film._replace(images=talker.film(film, voice, i, options))
        for i, (film, voice) in enumerate(zip(true, heard, strict=True))
    ]
    shown = (torch.cat([film.images for film in films]) for films in (decoded, true))
    results = {"autoencoder, dB": round(signal_to_noise(*shown), 2)}
    for name, films in (("true", true), ("decoded", decoded), ("made", made)):
        numbers = score_films(films, *measures)._asdict()
        results[name] = {key: round(value, 3) for key, value in numbers.items()}
        print(name, results[name], flush=True)
    settings = {k: v for k, v in vars(options).items() if k != "folder"}
    text = json.dumps(results | {"settings": settings}, indent=1)
    (options.folder / "score.json").write_text(text, encoding="utf-8")
    write_sheet(options.folder / "sheet.png", true, made)


def true_film(index: int) -> "tuple[Tensor, Film]":
    """
    A voice (N,), and who says it, both of which nothing was learnt from; the portrait is another moment, mouth shut.
    """
    from ..vexpress.training.drawn import HELD_OUT
    from ..vexpress.training.faces import draw
    from ..vexpress.training.motion import motion
    from ..vexpress.training.ruler import Film

    heard, person, moves = stranger(index)
    drawn = draw(person, moves, SIZE)
    portrait = draw(person, motion(HELD_OUT + 5000 + index, shut(1), FPS), SIZE).images[0]
    return heard, Film(drawn.images, portrait, moves.opening.float(), drawn.kps)


def stranger(index: int) -> "tuple[Tensor, Identity, Motion]":
    """A voice (N,), the person, and all that moves."""
    from ..vexpress.training.drawn import HELD_OUT, voice_of
    from ..vexpress.training.identity import identity
    from ..vexpress.training.motion import motion
    from ..vexpress.training.mouth import Mouth, mouth_of

    frames = round(SECONDS * FPS)
    heard, clean = voice_of(HELD_OUT + 1000 + index, SECONDS)
    mouth = Mouth(*(track[:frames] for track in mouth_of(clean, FPS)))
    return heard, identity(HELD_OUT + index), motion(HELD_OUT + index, mouth, FPS)


class Talker:
    """The tiny talker behind the functions that the nodes call."""

    def __init__(self):
        import comfy.sd

        from ..vexpress.comfyui.audio_encoder import load_audio_encoder
        from ..vexpress.comfyui.audio_projection import load_audio_projection
        from ..vexpress.comfyui.loader import DenoisingFiles, LoadedReferenceNet, load_denoising_model
        from ..vexpress.training.autoencoder import Autoencoder
        from .talker_file import stored_weights
        from .tiny_models import AUDIO_ENCODER, VAE, write_talker

        self.folder = tempfile.TemporaryDirectory()
        models = Path(self.folder.name)
        write_talker(models)
        files = {path.stem: str(path) for path in (models / "vexpress").iterdir()}
        self.model = load_denoising_model(
            DenoisingFiles(files["denoising_unet"], files["motion_module"], files["v_kps_guider"])
        )
        self.reference_net = LoadedReferenceNet(files["reference_net"])
        self.projection = load_audio_projection(files["audio_projection"])
        self.ears = load_audio_encoder(str(models / AUDIO_ENCODER))
        self.vae = comfy.sd.VAE(load_file(models / VAE))
        self.autoencoder = Autoencoder()  # the same as the VAE, without the zeros that take most of its time
        self.autoencoder.load_state_dict(stored_weights("vae"))

    def decoded(self, images: Tensor) -> Tensor:
        """(F, 3, H, W) through the autoencoder"""
        decode = self.autoencoder.decode
        return torch.cat([decode(self.autoencoder.encode(some)) for some in images.split(32)]).clamp(0, 1)

    def film(self, film: "Film", heard: Tensor, seed: int, options: argparse.Namespace) -> Tensor:
        """
        heard:  (N,) a voice
        returns (F, 3, H, W)
        """
        from ..vexpress.audio import SAMPLE_RATE
        from ..vexpress.comfyui.conditioning import condition, encode_reference
        from ..vexpress.comfyui.encode_audio import encode_audio
        from ..vexpress.comfyui.sampling import sample
        from ..vexpress.kps import Kps
        from ..vexpress.model.unet import AttentionWeights

        audio = {"waveform": heard[None, None], "sample_rate": SAMPLE_RATE}
        tokens = encode_audio(self.ears, self.projection, audio, FPS, len(film.kps))
        picture = film.portrait.movedim(0, -1)[None]
        portrait = encode_reference(self.reference_net, self.vae, picture, SIZE, SIZE)
        weights = AttentionWeights(options.reference_weight, options.audio_weight)
        clip = condition(portrait, tokens, Kps(film.kps, SIZE, SIZE, FPS), weights)
        latents = sample(self.model, *clip, seed, options.steps, options.cfg, None, None)
        return self.vae.decode(latents["samples"]).movedim(-1, 1)


class Seen(NamedTuple):
    """
    images: (B, 3, H, H) 0..1
    kps:    (B, 3, 2) in pixels of them
    """

    images: Tensor
    kps: Tensor


def taught_measures(
    path: Path, size: int, look: "Callable[[Drawn], Seen]", seen_by: str
) -> "tuple[Ruler, Likeness]":
    """What reads mouth and V-Kps, kept in the file, and what tells people apart.

    look:    what is seen of pictures of `SIZE`
    seen_by: changes when `look` sees something else, and the file is made anew
    """
    from ..vexpress.training.likeness import learn_likeness
    from ..vexpress.training.ruler import Ruler, calibrate, read

    torch.manual_seed(0)
    ruler = Ruler(size)
    if path.exists() and _seen_by(path) == seen_by:
        ruler.load_state_dict(load_file(path))
        ruler.eval()
    else:
        with torch.enable_grad():
            calibrate(ruler, true_pictures(look), RULER_STEPS)
        weights = {key: weight.contiguous() for key, weight in ruler.state_dict().items()}
        save_file(weights, path, {SEEN_BY: seen_by})
    images = several_of_each(look)
    kps = read(ruler, images.flatten(0, 1)).kps.unflatten(0, images.shape[:2])
    return ruler, learn_likeness(images, kps)


def _seen_by(path: Path) -> str | None:
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get(SEEN_BY)


def true_pictures(look: "Callable[[Drawn], Seen]") -> Iterator[tuple[Tensor, tuple]]:
    from ..vexpress.training.drawn import portraits
    from ..vexpress.training.ruler import Truth

    for seed in itertools.count():
        some = portraits(seed, RULER_BATCH, SIZE, first_person=RULER_PEOPLE)
        seen = look(some.drawn)
        yield seen.images, Truth(some.motion.opening.float(), some.motion.width.float(), seen.kps)


def several_of_each(look: "Callable[[Drawn], Seen]") -> Tensor:
    """(LIKENESS_PEOPLE, LIKENESS_EACH, 3, H, H)"""
    from ..vexpress.training.drawn import portraits

    each = {"number": LIKENESS_EACH, "each": LIKENESS_EACH, "first_person": LIKENESS_FIRST}
    people = (portraits(i, size=SIZE, **each).drawn for i in range(LIKENESS_PEOPLE))
    return torch.stack([look(drawn).images for drawn in people])


@torch.no_grad()
def half_blurred(drawn: "Drawn", autoencoder) -> Seen:
    """Every other picture through the autoencoder, whose blur shall not matter."""
    images = drawn.images.clone()
    images[::2] = autoencoder.decode(autoencoder.encode(images[::2])).clamp(0, 1)
    return Seen(images, drawn.kps)


def write_sheet(path: Path, true: "Sequence[Film]", made: "Sequence[Film]") -> None:
    """Per person the portrait, then what was made beneath what would be true."""
    from PIL import Image

    rows = []
    for film, shown in list(zip(true, made, strict=True))[:8]:
        moments = torch.linspace(5, len(shown.images) - 5, 9).long()
        top = torch.cat([film.portrait, *film.images[moments]], dim=2)
        below = torch.cat([torch.ones_like(film.portrait), *shown.images[moments].clamp(0, 1)], dim=2)
        rows += [top, below]
    sheet = (torch.cat(rows, dim=1).movedim(0, -1) * 255).round().byte()
    Image.fromarray(sheet.numpy()).save(path)
