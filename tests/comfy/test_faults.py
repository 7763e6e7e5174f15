"""A server in trouble says so in one sentence, and the next good job is as on a fresh one, bit for bit."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from pack.tools.server import ComfyError
from pack.tools.tiny_models import tiny_weights
from PIL import Image
from test_kill import knows_of_a_part
from test_server import node
from trouble import EVALUATIONS, at, cancelled, forget_finished, job, pictures, replaced

PATIENCE = 600  # seconds


@pytest.fixture(autouse=True)
def the_next_good_job_is_as_on_a_fresh_server(troubled, good):
    yield
    assert pictures(troubled, troubled.run(job())) == good
    (left,) = resume_folder(troubled).iterdir()  # of all jobs
    assert (left / "finished").exists()


def resume_folder(server):
    return server.output / "vexpress" / ".resume"


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Cancel


def reload_models(server) -> None:
    os.utime(server.base / "models" / "vexpress" / "denoising_unet.bin")


MOMENTS = [
    *[("models", 0), ("landmarks", 0), ("crop", 0), ("reference", 0), ("tokens", 0)],
    *[("video", evaluations) for evaluations in (0, 1, 9, EVALUATIONS - 1, EVALUATIONS)],
    ("saved", 0),
]
TOO_LATE = MOMENTS[-2:]  # perhaps: the job may have ended


def test_cancelled_at_any_moment_and_queued_again_at_once(troubled):
    reload_models(troubled)
    for moment in MOMENTS:
        assert cancelled(troubled, job(), moment) or moment in TOO_LATE


def open_files(server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def memory(server) -> int:
    """Bytes it holds now."""
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux tells what a process holds")
def test_a_hundred_cancels_leave_neither_memory_nor_files_behind(troubled, good):
    dice = random.Random(1)
    evaluations = [("video", done) for done in range(EVALUATIONS)]

    def cancel(times: int) -> None:
        for moment in dice.choices(MOMENTS[1:] + evaluations, k=times):
            cancelled(troubled, job(), moment)
        assert pictures(troubled, troubled.run(job())) == good

    cancel(20)  # what is allocated once
    files, before = open_files(troubled), memory(troubled)
    for _ in range(4):
        cancel(20)
    assert open_files(troubled) <= files + 2
    assert memory(troubled) < before + 64e6, f"{before / 1e6:.0f} MB before"


# Files that go away


@contextmanager
def small_disk(path):
    """A disk of its own for a folder of the output."""
    path.mkdir(parents=True, exist_ok=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", path], capture_output=True)
    if mount.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(path) -> None:
    """As another program might."""
    with pytest.raises(OSError, match="No space left"), open(path, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def held(server, calls: int) -> tuple[dict, Path]:
    """The job, which waits after so many evaluations until a file is there."""
    go = server.base / "go"
    go.unlink(missing_ok=True)
    graph = job(held=node("OtherHold", model=["short", 0], calls=calls, file=str(go)))
    return graph | {"video": replaced(graph, "video", model=["held", 0])}, go


@pytest.mark.skipif(shutil.which("mount") is None, reason="a small disk is made with mount")
def test_a_full_disk_is_said_and_nothing_done_is_lost(troubled, good):
    output = troubled.output / "vexpress"
    with small_disk(output):
        with pytest.raises(
            ComfyError, match=r"The disk is full, so .*resume.* could not be written: free some"
        ):
            troubled.run(job(), on_event=at(("video", 3), lambda: fill(output / "filler")))
        (output / "filler").unlink()
        assert pictures(troubled, troubled.run(job())) == good


def test_an_output_folder_that_is_deleted_is_made_again(troubled, good):
    delete = at(("video", 3), lambda: shutil.rmtree(troubled.output / "vexpress"))
    assert pictures(troubled, troubled.run(job(), on_event=delete)) == good


def test_parts_that_are_deleted_are_missed_at_once(troubled):
    graph, go = held(troubled, EVALUATIONS - 1)
    forget_finished(troubled)  # whose parts are not this job's
    with ThreadPoolExecutor(1) as client:
        render = client.submit(troubled.run, graph)
        until(lambda: knows_of_a_part(resume_folder(troubled)) or render.done())
        shutil.rmtree(troubled.output / "vexpress")
        go.touch()
        with pytest.raises(ComfyError, match="000000.mp4 was deleted, or its disk is gone: the video has to"):
            render.result(PATIENCE)
    assert "Run the same job again, and it starts anew." in troubled.log.read_text("utf-8")


KPS = "v-express_portrait_kps.json"


def drawn(file: str) -> dict:
    kps = node("VExpressLoadKps", file=file, width=512, height=512, fps=30.0)
    return {"kps": kps, "saved": node("VExpressDrawKps", kps=["kps", 0])}


def while_it_waits(server, graph: dict, change: Callable[[], None]) -> dict:
    """Outputs of a job before which another one ran, during which something was changed."""
    file = server.base / "go"
    file.unlink(missing_ok=True)
    image = node("EmptyImage", width=8, height=8, batch_size=1, color=0)
    waiting = {"image": image, "wait": node("OtherWait", value=["image", 0], file=str(file))}
    waiting["shown"] = node("PreviewImage", images=["wait", 0])
    with ThreadPoolExecutor(2) as clients:
        before = clients.submit(server.run, waiting)
        until(lambda: server.get("/queue")["queue_running"])
        job = clients.submit(server.run, graph)
        until(lambda: server.get("/queue")["queue_pending"])
        change()
        file.touch()
        before.result(PATIENCE)
        return job.result(PATIENCE)


def shown(server, outputs: dict) -> bytes:
    (saved,) = outputs["saved"]["images"]
    with Image.open(server.base / saved["type"] / saved["subfolder"] / saved["filename"]) as picture:
        return picture.tobytes()


def test_an_input_file_that_is_replaced_before_its_job_begins_is_read_anew(troubled):
    track = (troubled.input / KPS).read_text()
    (troubled.input / "track.json").write_text(track)
    before = shown(troubled, troubled.run(drawn("track.json")))
    (troubled.input / "moved.json").write_text(track.replace("[[[", "[[[1"))
    moved = shown(troubled, troubled.run(drawn("moved.json")))
    assert moved != before

    def replace() -> None:
        os.replace(troubled.input / "moved.json", troubled.input / "track.json")

    assert shown(troubled, while_it_waits(troubled, drawn("track.json"), replace)) == moved


@pytest.mark.parametrize("graph, file", [("kps", "input/lost.json"), ("models", "models/vexpress/lost.bin")])
def test_a_file_that_is_deleted_before_its_job_begins_is_named(troubled, graph, file):
    path = troubled.base / file
    if graph == "kps":
        shutil.copy(troubled.input / KPS, path)
        graph = drawn("lost.json")
    else:
        shutil.copy(path.with_name("v_kps_guider.bin"), path)
        graph = job(models=replaced(job(), "models", v_kps_guider="lost.bin"))
    with pytest.raises(ComfyError, match=rf"failed: .*{path.name}.* (is not at|not found)"):
        while_it_waits(troubled, graph, path.unlink)


# Memory that runs out


def exhausted(at: str, value: list, network: str, times: int) -> dict:
    """The job, with a network in which memory runs out as often; `at`: the input that gets it."""
    name, _, key = at.partition(".")
    exhaust = node("OtherExhaust", value=value, network=network, times=times)
    return job() | {"exhaust": exhaust, name: replaced(job(), name, **{key: ["exhaust", 0]})}


UNET = "short.model", ["models", 0], "model.diffusion_model.out"
DECODER = "video.vae", ["vae", 0], "first_stage_model.taesd_decoder"
ENCODER = "reference.vae", ["vae", 0], "first_stage_model.taesd_encoder"
REFERENCE_NET = "reference.reference_net", ["models", 1], "patcher.model.time_embed"
VOICE = "tokens.audio_encoder", ["encoder", 0], "patcher.model.network.encoder"


@pytest.mark.parametrize("where", [UNET, DECODER, ENCODER], ids=["both conds", "decode", "encode"])
def test_where_memory_runs_out_once_the_job_goes_on_with_less(troubled, good, where):
    made = pictures(troubled, troubled.run(exhausted(*where, times=1)))
    levels = [np.frombuffer(frame, np.uint8).astype(int) for frame in (b"".join(made), b"".join(good))]
    assert (
        np.abs(levels[0] - levels[1]).mean() < 8
    )  # of 255: rounding, made larger by random networks and H.264


@pytest.mark.parametrize(
    "where, said",
    [
        (UNET, "at a window of 2 frames of 64x64 pixels: set fewer frames with V-Express Context"),
        (DECODER, "while decoding a picture of 64x64 pixels: make the picture smaller"),
        (ENCODER, "while reading a portrait of 64x64 pixels: make width and height smaller"),
        (REFERENCE_NET, "while reading a portrait of 64x64 pixels: make width and height smaller"),
        (VOICE, "while listening to 0 s of voice: take a shorter voice, or choose windows as attention"),
    ],
    ids=["unet", "decode", "encode", "reference", "voice"],
)
def test_where_memory_runs_out_for_good_it_is_said_what_to_change(troubled, where, said):
    times = 1 if where in (REFERENCE_NET, VOICE) else 2
    with pytest.raises(ComfyError, match=f"Memory ran out {said}"):
        troubled.run(exhausted(*where, times=times))


# Others beside it


def test_jobs_with_different_models_wait_in_one_queue(troubled, good):
    weights = tiny_weights("denoising_unet")
    weights["conv_out.bias"] += 0.5
    torch.save(weights, troubled.base / "models" / "vexpress" / "another.bin")
    another = job(models=replaced(job(), "models", denoising_unet="another.bin"))
    with ThreadPoolExecutor(4) as clients:
        made = [*clients.map(lambda g: pictures(troubled, troubled.run(g)), [job(), another, job(), another])]
    assert made[0] == made[2] == good
    assert made[1] == made[3] != good


def also(name: str, **inputs) -> dict:
    """A second render of the same conditions, and its video."""
    saved = replaced(job(), "saved", video=[name, 0], filename_prefix=name)
    return {name: replaced(job(), "video", **inputs), f"saved {name}": saved}


def test_one_model_serves_several_samplers_and_other_packs_patches(troubled, good):
    patches = ("attn1", "attn1 output", "attn2", "wrapper", "lora")
    graph = job() | also("seed", seed=2)
    for patch in patches:
        name = f"with {patch}"
        graph[patch] = node("OtherPatch", model=["short", 0], patch=patch)
        graph |= also(name, model=[patch, 0])
    outputs = troubled.run(graph)
    assert pictures(troubled, outputs) == good
    made = [pictures(troubled, outputs, name) for name in graph if name.startswith("saved")]
    assert len({b"".join(frames) for frames in made}) == len(patches) + 2


def test_models_that_are_unloaded_in_between_are_loaded_again(troubled, good):
    free = at(("video", 5), lambda: troubled.post("/free", unload_models=True, free_memory=True))
    graph = job(unload=node("OtherUnload", value=["conditions", 0]))
    graph["video"] = replaced(graph, "video", positive=["unload", 0])
    assert pictures(troubled, troubled.run(graph, on_event=free)) == good


def test_two_servers_do_not_render_one_job_into_one_folder(troubled, second, good):
    graph, go = held(troubled, 0)
    with ThreadPoolExecutor(1) as client:
        first = client.submit(troubled.run, graph)
        try:
            until(lambda: [*resume_folder(troubled).glob("*.lock")] or first.done())
            with pytest.raises(ComfyError, match="Another ComfyUI renders this very job into .* right now"):
                second.run(graph, timeout=PATIENCE)
        finally:
            go.touch()
        assert pictures(troubled, first.result(PATIENCE)) == good
    assert pictures(second, second.run(graph)) == good
