"""The job of the tests that bring a server into trouble: a picture and a voice become a saved video."""

import shutil
from collections.abc import Callable

import av
from pack.tools.server import ComfyError, Server
from test_server import clip, node

FRAMES, STEPS = 12, 2  # 11 windows of 2 frames: 22 evaluations, and parts of 10 and 2 pictures
EVALUATIONS = 22


def renders_anew(server: Server) -> Server:
    """The server, which takes no pictures from the render that was finished last."""
    run = server.run

    def anew(*args, **options) -> dict:
        forget_finished(server)
        return run(*args, **options)

    server.run = anew
    return server


def forget_finished(server: Server) -> None:
    for mark in server.output.glob("vexpress/.resume/*/finished"):
        shutil.rmtree(mark.parent, ignore_errors=True)  # several clients may do it at once


def job(**nodes: dict) -> dict:
    """Runs as a whole each time, but for the loaders; `nodes` replace or add nodes by name."""
    graph = clip(frames=FRAMES)
    sampler = graph.pop("sampler")["inputs"] | {"model": ["short", 0]}
    del graph["pictures"]
    graph["tokens"]["inputs"]["audio"] = ["each_voice", 0]
    graph["reference"]["inputs"] |= {"image": ["crop", 0], "width": 64, "height": 64}
    graph["conditions"]["inputs"]["kps"] = ["crop", 1]
    return graph | {
        "each_voice": node("OtherEach", value=["voice", 0]),
        "each_portrait": node("OtherEach", value=["portrait", 0]),
        "detector": node("LoadMediaPipeFaceLandmarker", model_name="mediapipe_face_fp32.safetensors"),
        "landmarks": node(
            "MediaPipeFaceLandmarker",
            face_detection_model=["detector", 0],
            image=["each_portrait", 0],
            detector_variant="short",
            num_faces=1,
            min_confidence=0.5,
            missing_frame_fallback="empty",
        ),
        "kps": node(
            "VExpressKpsFromLandmarks", landmarks=["landmarks", 0], fps=30.0, face="largest", max_gap=10
        ),
        "crop": node("VExpressCropFace", image=["each_portrait", 0], kps=["kps", 0], margin=1.0, size=64),
        "short": node("VExpressContext", model=["models", 0], length=2, overlap=1),
        "video": node(
            "VExpressRender", **sampler, audio=["voice", 0], vae=["vae", 0], fps=30.0, deflicker=True
        ),
        **nodes,
    }


def replaced(graph: dict, name: str, **inputs: object) -> dict:
    """A node of the graph with other inputs."""
    return node(graph[name]["class_type"], **graph[name]["inputs"] | inputs)


def pictures(server: Server, outputs: dict, name: str = "saved") -> list[bytes]:
    """Of the video that a node has saved, (H, W, 3) each."""
    (saved,) = outputs[name]["images"]
    with av.open(str(server.output / saved["subfolder"] / saved["filename"])) as video:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in video.decode(video=0)]


def at(moment: tuple[str, int], action: Callable[[], None]) -> Callable[[str, dict], None]:
    """Listens to a job for the moment when a node has come so far, and acts once."""
    node_id, value = moment
    done = []

    def on_event(kind: str, data: dict) -> None:
        progress = data["nodes"].get(node_id) if kind == "progress_state" else None
        if not done and progress and progress["state"] == "running" and progress["value"] >= value:
            done.append(True)
            action()

    return on_event


def cancelled(server: Server, graph: dict, moment: tuple[str, int]) -> bool:
    """Whether Cancel, pressed at that moment, came before the job's end."""
    try:
        server.run(graph, on_event=at(moment, lambda: server.post("/interrupt")))
    except ComfyError as error:
        assert "interrupted" in str(error), error
        return True
    return False
