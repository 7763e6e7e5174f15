"""The autoencoder of drawn faces, and its place in TAESD's layout."""

import comfy.sd
import pytest
import torch
from pack.tools.talker_file import stored_weights, talker_weights
from pack.vexpress.training import autoencoder_run
from pack.vexpress.training.autoencoder import Autoencoder, features_mask, loss_of, signal_to_noise
from pack.vexpress.training.autoencoder_run import AutoencoderConfig, pictures, teach

SIZE = 64


def small(seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    return Autoencoder((8, 8, 8, 8))


def config(steps: int, **more) -> AutoencoderConfig:
    return AutoencoderConfig(steps, learning_rate=3e-3, size=SIZE, seed=1, **more)


@pytest.fixture(autouse=True)
def no_gradients():
    """Unlike a node, training needs gradients."""


@torch.no_grad()
def test_comfyui_reads_the_shipped_one_and_gets_the_same_pictures():
    autoencoder = Autoencoder()
    autoencoder.load_state_dict(stored_weights("vae"))
    vae = comfy.sd.VAE(talker_weights()["vae"])
    images = pictures(3, 8, 128, 7 << 26).images
    latents = vae.encode(images.movedim(1, -1))
    assert torch.allclose(latents * 0.18215, autoencoder.encode(images), atol=1e-4)
    decoded = vae.decode(latents).movedim(-1, 1)
    ours = autoencoder.decode(autoencoder.encode(images))
    assert torch.allclose(decoded, ours.clamp(0, 1), atol=1e-3)
    assert signal_to_noise(decoded, images) > 26


def test_its_latents_have_the_deviation_that_the_unet_expects():
    autoencoder = Autoencoder()
    autoencoder.load_state_dict(stored_weights("vae"))
    with torch.no_grad():
        latents = autoencoder.encode(pictures(4, 16, 128, 7 << 26).images)
    assert 0.9 < latents.std() < 1.1


def test_it_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(autoencoder_run, "WARM_UP", 1)
    autoencoder = small()
    batch, noise = pictures(2, 8, SIZE), torch.zeros(8, 4, 8, 8)
    before = loss_of(autoencoder, batch, noise).item()
    average = teach(autoencoder, config(40), tmp_path / "run.safetensors", tell=lambda line: None)
    autoencoder.load_state_dict(average)
    assert loss_of(autoencoder, batch, noise).item() < 0.95 * before


def test_a_run_that_stopped_goes_on_as_if_it_had_not(tmp_path, monkeypatch):
    monkeypatch.setattr(autoencoder_run, "SAVE_EVERY", 2)
    whole = teach(small(), config(4), tmp_path / "whole.safetensors", tell=lambda line: None)

    class Stopped(Exception):
        pass

    def stop(line: str):
        raise Stopped

    with pytest.raises(Stopped):
        teach(small(), config(4), tmp_path / "stopped.safetensors", tell=stop)
    resumed = teach(small(seed=9), config(4), tmp_path / "stopped.safetensors", tell=lambda line: None)
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


def test_the_decoder_alone_leaves_the_latents_as_they_are(tmp_path):
    autoencoder = small()
    before = {key: weight.clone() for key, weight in autoencoder.state_dict().items()}
    after = teach(autoencoder, config(2, decoder_only=True), tmp_path / "run", tell=lambda line: None)
    changed = {key for key in after if not torch.equal(after[key], before[key])}
    assert changed and all(key.startswith("taesd_decoder") for key in changed)


def test_mouth_and_eyes_weigh_more():
    batch = pictures(5, 8, SIZE)
    mask = features_mask(batch)
    x, y = batch.eyes[0, 0].round().long().tolist()
    assert mask[0, 0, y, x] > 0.9 and mask[0, 0, 1, 1] < 0.01
