"""What several templates share: groups of nodes with their links, notes, and the files that models come from."""

from typing import NamedTuple

from .graph import Graph, Node, Output

INPUTS, MODELS, FACE, DRIVER = "#3f789e", "#8a8a8a", "#3f9e6a", "#2f8f8f"
CONDITIONS, SAMPLING, VIDEO, EXTRA = "#a1309b", "#b06634", "#8888aa", "#b58b2a"

PORTRAIT, PHOTO, TWO_PEOPLE = "v-express_portrait.png", "v-express_photo.jpg", "v-express_two_people.jpg"
VOICE, SECOND_VOICE = "v-express_voice.flac", "v-express_voice_2.flac"
DRIVING = "v-express_driving.mp4"

COPY_EXAMPLES = "The files chosen here lie in the pack's `example_inputs` folder: copy them into ComfyUI's `input` folder."
IF_NOT_FOUND = (
    "**If the face is not found**, click *Show advanced inputs* on *Detect Face Landmarks* and lower `min_confidence`, "
    "or crop the picture nearer to the face. "
    "**If there are several faces**, *V-Kps from Face Landmarks* says which one is taken."
)
CHOOSE_PORTRAIT = "1. Choose a **portrait**: any picture with a face that looks ahead."
CHOOSE_VOICE = "2. Choose a **voice**, without music. The clip becomes as long as it."
RUN = "3. Press **Run**."
CHOOSE = f"{CHOOSE_PORTRAIT}\n{CHOOSE_VOICE}\n{RUN}"


class Model(NamedTuple):
    """A file that a loader asks for under that name, and where ComfyUI may fetch it for `models/<directory>`."""

    name: str
    url: str
    directory: str


HUB = "https://huggingface.co/"
V_EXPRESS = tuple(
    Model(f"{part}.bin", f"{HUB}tk93/V-Express/resolve/main/{part}.bin", "vexpress")
    for part in ("denoising_unet", "motion_module", "reference_net", "v_kps_guider", "audio_projection")
)
WAV2VEC2 = Model(
    "wav2vec2-base-960h.safetensors",
    f"{HUB}facebook/wav2vec2-base-960h/resolve/main/model.safetensors",
    "audio_encoders",
)
SD_VAE = Model(
    "sd-vae-ft-mse.safetensors",
    f"{HUB}stabilityai/sd-vae-ft-mse/resolve/main/diffusion_pytorch_model.safetensors",
    "vae",
)
MEDIAPIPE = Model(
    "mediapipe_face_fp32.safetensors",
    f"{HUB}Comfy-Org/mediapipe/resolve/main/detection/mediapipe_face_fp32.safetensors",
    "detection",
)
FILM = Model(
    "film_net_fp16.safetensors",
    f"{HUB}Comfy-Org/frame_interpolation/resolve/main/frame_interpolation/film_net_fp16.safetensors",
    "frame_interpolation",
)
UPSCALER = Model(
    "RealESRGAN_x4plus.safetensors",
    f"{HUB}Comfy-Org/Real-ESRGAN_repackaged/resolve/main/RealESRGAN_x4plus.safetensors",
    "upscale_models",
)


class Models(NamedTuple):
    vexpress: Node
    audio_encoder: Node
    vae: Node
    face: Node | None
    extra: list[Node]


class Face(NamedTuple):
    """A face cut out of a picture, its V-Kps there, and where it was."""

    image: Output
    kps: Output
    placement: Output


def read_me(g: Graph, title: str, *paragraphs: str) -> None:
    g.note("Read me", "\n\n".join([f"### {title}", *paragraphs, COPY_EXAMPLES]) + "\n")


def load_portrait(g: Graph, title: str = "Portrait", image: str = PORTRAIT) -> Node:
    return g.add("LoadImage", title, image=image)


def load_voice(g: Graph, title: str = "Voice", audio: str = VOICE) -> Node:
    return g.add("LoadAudio", title, audio=audio)


def load_portrait_and_voice(g: Graph) -> tuple[Node, Node]:
    g.group("Portrait and voice", INPUTS)
    return load_portrait(g), load_voice(g)


def load_models(
    g: Graph,
    *extra: tuple[str, str, Model],
    face: bool = True,
    weight_dtype="default",
    attention="whole voice",
) -> Models:
    """extra: nodes that load more of them, each with its widget and its file"""
    g.group("Models", MODELS)
    files = {model.name.removesuffix(".bin"): model.name for model in V_EXPRESS}
    models = Models(
        g.add("VExpressLoader", models=V_EXPRESS, **files, weight_dtype=weight_dtype),
        g.add(
            "VExpressAudioEncoderLoader", models=(WAV2VEC2,), audio_encoder=WAV2VEC2.name, attention=attention
        ),
        g.add("VAELoader", models=(SD_VAE,), vae_name=SD_VAE.name),
        _load_face_model(g) if face else None,
        [g.add(node, models=(model,), **{widget: model.name}) for node, widget, model in extra],
    )
    g.note("Models", _models_text(g))
    return models


def _load_face_model(g: Graph) -> Node:
    return g.add(
        "LoadMediaPipeFaceLandmarker",
        "Load Face Detection Model",
        models=(MEDIAPIPE,),
        model_name=MEDIAPIPE.name,
    )


def _models_text(g: Graph) -> str:
    files = [Model(**model) for node in g.nodes for model in node.properties.get("models", [])]
    text = "### Models\n\nPut these files into ComfyUI's `models` folder, under these names:\n"
    for directory in dict.fromkeys(model.directory for model in files):
        source = f" — from [tk93/V-Express]({HUB}tk93/V-Express/tree/main)" if directory == "vexpress" else ""
        text += f"\n**{directory}/**{source}\n"
        text += "".join(_link(model) for model in files if model.directory == directory)
    return text


def _link(model: Model) -> str:
    file = model.url.rpartition("/")[2]
    renamed = "" if file == model.name else f" (comes as `{file}`)"
    return f"- [{model.name}]({model.url}){renamed}\n"


def find_kps(g: Graph, models: Models, picture: Node | Output, of: str = "", **options) -> Node:
    return take_kps(g, find_landmarks(g, models, picture, of), of, **options)


def find_landmarks(g: Graph, models: Models, picture: Node | Output, of: str = "") -> Node:
    return g.add(
        "MediaPipeFaceLandmarker",
        of and f"Face landmarks of {of}",
        face_detection_model=models.face,
        image=picture,
        detector_variant="both",  # short alone sees only faces near the camera
        num_faces=0,
    )


def take_kps(g: Graph, landmarks: Node, of: str = "", **options) -> Node:
    return g.add("VExpressKpsFromLandmarks", of and f"V-Kps of {of}", landmarks=landmarks, **options)


def cut_face(g: Graph, picture: Node | Output, kps: Node, size: int = 512) -> Face:
    cut = g.add("VExpressCropFace", image=picture, kps=kps, size=size)
    return Face(cut["image"], cut["kps"], cut["placement"])


def find_face(
    g: Graph, models: Models, picture: Node, title: str = "The face", of: str = "", size: int = 512
) -> Face:
    g.group(title, FACE)
    return cut_face(g, picture, find_kps(g, models, picture, of), size)


def encode(
    g: Graph, models: Models, image: Node | Output, voice: Node, size: int = 512, **audio
) -> tuple[Node, Node]:
    g.group("Conditions", CONDITIONS)
    return encode_reference(g, models, image, size), encode_audio(g, models, voice, **audio)


def encode_reference(g: Graph, models: Models, image: Node | Output, size: int = 512) -> Node:
    return g.add(
        "VExpressEncodeReference",
        reference_net=models.vexpress["reference_net"],
        vae=models.vae,
        image=image,
        width=size,
        height=size,
    )


def encode_audio(g: Graph, models: Models, voice: Node, title: str | None = None, **options) -> Node:
    return g.add(
        "VExpressEncodeAudio",
        title,
        audio_encoder=models.audio_encoder,
        audio_projection=models.vexpress["audio_projection"],
        audio=voice,
        **options,
    )


def keep_still(g: Graph, face: Face, audio: Node) -> Node:
    return retarget(g, face.kps, audio, strategy="fix_face")


def retarget(g: Graph, reference: Node | Output, audio: Node, **options) -> Node:
    return g.add(
        "VExpressRetargetKps", reference=reference, frames=audio["frames"], fps=audio["fps"], **options
    )


def idle_motion(g: Graph, face: Face, voice: Node, audio: Node, **options) -> Node:
    length = {"frames": audio["frames"], "fps": audio["fps"]}
    return g.add("VExpressIdleMotion", reference=face.kps, audio=voice, **length, **options)


def condition(g: Graph, reference: Node, audio: Node, kps: Node | Output, **options) -> dict[str, Output]:
    """What a sampler asks for beside the model."""
    node = g.add("VExpressConditioning", reference=reference, audio_tokens=audio, kps=kps, **options)
    return {name: node[name] for name in ("positive", "negative", "latent")}


def sample(
    g: Graph, models: Models, reference: Node, audio: Node, kps: Node | Output, model=None, **options
) -> Node:
    """model: one that nodes have changed"""
    conditions = condition(g, reference, audio, kps)
    return g.add("VExpressSampler", model=model or models.vexpress["model"], **conditions, **options)


def render(
    g: Graph, models: Models, conditions: dict, voice: Node, audio: Node, model=None, **options
) -> Node:
    sound = {"audio": voice, "fps": audio["fps"]}
    model = model or models.vexpress["model"]
    return g.add("VExpressRender", model=model, **conditions, vae=models.vae, **sound, **options)


def decode(g: Graph, models: Models, latent: Node) -> Node:
    return g.add("VAEDecode", samples=latent, vae=models.vae)


def assemble(g: Graph, images: Node, voice: Node, fps: Output | float) -> Node:
    return g.add("VExpressAssembleVideo", images=images, audio=voice, fps=fps)


def save(g: Graph, video: Node | Output) -> None:
    g.add("SaveVideo", video=video, filename_prefix="video/V-Express", format="mp4", codec="h264")


def show(g: Graph, models: Models, latent: Node, voice: Node, audio: Node) -> None:
    g.group("Video", VIDEO)
    save(g, assemble(g, decode(g, models, latent), voice, audio["fps"]))
