"""The templates, each a function that fills a graph; its name is the template's."""

from .graph import Graph
from .pieces import (
    CHOOSE,
    CHOOSE_PORTRAIT,
    CHOOSE_VOICE,
    CONDITIONS,
    DRIVER,
    DRIVING,
    EXTRA,
    FACE,
    FILM,
    IF_NOT_FOUND,
    INPUTS,
    PHOTO,
    RUN,
    SAMPLING,
    SECOND_VOICE,
    TWO_PEOPLE,
    UPSCALER,
    VIDEO,
    Face,
    Models,
    assemble,
    condition,
    cut_face,
    decode,
    encode,
    encode_audio,
    encode_reference,
    find_face,
    find_kps,
    find_landmarks,
    idle_motion,
    keep_still,
    load_models,
    load_portrait,
    load_portrait_and_voice,
    load_voice,
    read_me,
    render,
    retarget,
    sample,
    save,
    show,
    take_kps,
)

INTERPOLATION = ("FrameInterpolationModelLoader", "model_name", FILM)
UPSCALING = ("UpscaleModelLoader", "model_name", UPSCALER)
FASTER = "draft: 8 steps, guidance on the first half"
TALKING_HEAD = "V-Express Talking Head"


def portrait_and_voice(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "A portrait and a voice",
        f"{CHOOSE_PORTRAIT} It need not be square.\n{CHOOSE_VOICE}\n{RUN}",
        "ComfyUI finds eyes and nose, the pack cuts the face out as the model knows faces, the head stays still and "
        "the lips speak (`fix_face`).",
        IF_NOT_FOUND,
    )
    models = load_models(g)
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice)
    kps = keep_still(g, face, audio)
    g.group("From noise to latents", SAMPLING)
    latent = sample(g, models, reference, audio, kps)
    show(g, models, latent, voice, audio)


def driving_video(g: Graph) -> None:
    g.group("Portrait, voice, video", INPUTS)
    portrait, voice = load_portrait(g), load_voice(g)
    driving = g.add("LoadVideo", "Driving video", file=DRIVING)
    models = load_models(g)
    face = find_face(g, models, portrait, "The portrait's face", "the portrait")
    g.group("The driver's movement", DRIVER)
    frames = g.add("GetVideoComponents", "Frames of the driving video", video=driving)
    driver = find_kps(g, models, frames["images"], "the driver", face="nearest", fps=frames["fps"])
    read_me(
        g,
        "A portrait that moves its head as in a video",
        f"{CHOOSE_PORTRAIT}\n{CHOOSE_VOICE}\n"
        "3. Choose a **driving video** of somebody who moves the head. A shorter one goes on back and forth, a longer "
        "one is cut.\n4. Press **Run**.",
        "**Retarget V-Kps** moves the portrait's head as the driver's moves (`follow`). If the chart says that the "
        "head leaves the picture, lower *translation*; if the face distorts, lower *turn*.",
        "**Long videos:** ComfyUI's landmarks need all frames in memory. **Detect V-Kps** (insightface) takes the "
        "video itself and reads it frame by frame: use it for the portrait as well, since the two detectors place "
        "eyes and nose a little differently.",
        "**If a face is not found**, click *Show advanced inputs* on *Face landmarks of the portrait* (or *of the "
        "driver*) and lower `min_confidence`, or crop the picture nearer to the face. **If there are several faces**, "
        "*V-Kps of the portrait* and *V-Kps of the driver* say which one is taken.",
    )
    reference, audio = encode(g, models, face.image, voice)
    kps = retarget(g, face.kps, audio, driving=driver, strategy="follow")
    g.group("From noise to latents", SAMPLING)
    latent = sample(g, models, reference, audio, kps)
    show(g, models, latent, voice, audio)


def idle_motion_(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "A portrait that moves its head by itself",
        CHOOSE,
        "**Idle Motion** lets the head sway and nod with the voice, and rest in its pauses. *amount* says how much; "
        "another *seed* is another movement.",
        IF_NOT_FOUND,
    )
    models = load_models(g)
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice)
    kps = idle_motion(g, face, voice, audio)
    g.group("From noise to latents", SAMPLING)
    latent = sample(g, models, reference, audio, kps)
    show(g, models, latent, voice, audio)


def any_photo_crop_and_paste(g: Graph) -> None:
    g.group("Photo and voice", INPUTS)
    photo, voice = load_portrait(g, "Photo", PHOTO), load_voice(g)
    read_me(
        g,
        "Somebody in a photo speaks",
        f"1. Choose a **photo** of any size, with a face that looks ahead.\n{CHOOSE_VOICE}\n{RUN}",
        "The face is cut out, animated (**Idle Motion** moves the head with the voice) and put back into the photo, "
        "its edges blended and its colours matched. **V-Express Render** and **Paste Face** work piece by piece, so "
        "the clip may be long.",
        "**If an edge shows**, raise *feather*, or lower *amount* of the movement.",
        IF_NOT_FOUND,
    )
    models = load_models(g)
    face = find_face(g, models, photo)
    reference, audio = encode(g, models, face.image, voice)
    kps = idle_motion(g, face, voice, audio)
    g.group("From noise to video", SAMPLING)
    video = render(g, models, condition(g, reference, audio, kps), voice, audio)
    g.group("Back into the photo", VIDEO)
    pasted = g.add("VExpressPasteFace", original=photo, placement=face.placement, video=video)
    save(g, pasted["video"])


def dub_a_video(g: Graph) -> None:
    g.group("Video and new voice", INPUTS)
    video = g.add("LoadVideo", "Video", file=DRIVING)
    voice = load_voice(g, "New voice")
    read_me(
        g,
        "A video speaks with a new voice",
        "1. Choose a **video** of one person, whose head stays about where it is. Best the mouth is shut in the first "
        f"picture.\n2. Choose a **voice**, without music.\n{RUN}",
        "The face of the first picture speaks, and the head moves as it does in the video. The clip keeps the video's "
        "length and frame rate: a longer voice is cut, a shorter one is followed by silence.",
        "The square of the face is pasted into every picture of the video. **So the camera must stand still**, and "
        "the head must stay in the square that *V-Express Crop Face* shows; it says when the head leaves it, and a higher "
        "*margin* makes it wider. If an edge shows, raise *feather*. **Retarget V-Kps** only smooths the trembling of "
        "the detector here.",
        "*Trim Video* takes a part of a long video, whose pictures are all in memory at once; a *duration* of 0 is "
        "all of it. **If there are several faces**, the largest one of the first picture is followed.",
    )
    models = load_models(g)
    g.group("Pictures of the video", DRIVER)
    part = g.add("Video Slice", video=video)
    parts = g.add("GetVideoComponents", video=part)
    size = g.add("GetImageSize", "How many pictures", image=parts["images"])
    first = g.add("ImageFromBatch", "The first picture", image=parts["images"])
    g.group("The face and its movement", FACE)
    kps = find_kps(g, models, parts["images"], face="nearest", fps=parts["fps"])
    face = cut_face(g, first, kps)
    reference, audio = encode(g, models, face.image, voice, fps=parts["fps"], frames=size["batch_size"])
    kps = retarget(g, face.kps, audio, driving=face.kps, strategy="no_retarget")
    conditions = condition(g, reference, audio, kps)
    g.group("From noise to video", SAMPLING)
    talking = render(g, models, conditions, voice, audio)
    g.group("Back into the video", VIDEO)
    pasted = g.add("VExpressPasteFace", original=parts["images"], placement=face.placement, video=talking)
    save(g, pasted["video"])


def two_people(g: Graph) -> None:
    g.group("Photo and voices", INPUTS)
    photo = load_portrait(g, "Photo of two people", TWO_PEOPLE)
    left_voice = load_voice(g, "Voice of the left one")
    right_voice = load_voice(g, "Voice of the right one", SECOND_VOICE)
    read_me(
        g,
        "Two people in one photo speak",
        "1. Choose a **photo** of two people who look ahead, some way apart.\n"
        "2. Choose **two voices**, without music.\n"
        "3. Set the *duration* of **Silence before the right one**: the left one's length, and they speak one after "
        "the other; 0.01, and they speak together.\n4. Press **Run**.",
        "The clip ends with the right one's voice. Both faces are cut out, animated and pasted into the same photo. "
        "Their squares must not overlap: where they do, the right one covers the left one.",
        "*index* of *V-Kps of the left one* and *V-Kps of the right one* counts faces from the left, from 0. For the "
        "other two of four people, set 2 and 3.",
    )
    models = load_models(g)
    g.group("Who speaks when", EXTRA)
    silence = g.add("EmptyAudio", "Silence before the right one", duration=3.6, sample_rate=16000, channels=1)
    right_turn = g.add("AudioConcat", "Silence, then the right one", audio1=silence, audio2=right_voice)
    sound = g.add("AudioMerge", "Both voices", audio1=right_turn, audio2=left_voice)
    right_audio = encode_audio(g, models, right_turn, "What the right one says")
    left_audio = encode_audio(g, models, left_voice, "What the left one says", frames=right_audio["frames"])

    g.group("The left one's face", FACE)
    landmarks = find_landmarks(g, models, photo, "both")
    left = cut_face(g, photo, take_kps(g, landmarks, "the left one", face="leftmost", index=0))
    left_frames = _one_of_two(g, models, left, left_voice, left_audio, seed=1)

    g.lane(skip=3)
    g.group("The right one's face", FACE)
    right = cut_face(g, photo, take_kps(g, landmarks, "the right one", face="leftmost", index=1))
    right_frames = _one_of_two(g, models, right, right_turn, right_audio, seed=2)

    g.group("Back into the photo", VIDEO)
    pasted = photo
    for who, face, frames in (("left", left, left_frames), ("right", right, right_frames)):
        pasted = g.add(
            "VExpressPasteFace",
            f"Paste the {who} one",
            original=pasted,
            placement=face.placement,
            images=frames,
        )
    save(g, assemble(g, pasted, sound, right_audio["fps"]))


def _one_of_two(g: Graph, models: Models, face: Face, voice, audio, seed: int):
    g.group("Conditions", CONDITIONS)
    reference = encode_reference(g, models, face.image)
    kps = idle_motion(g, face, voice, audio, seed=seed)
    g.group("From noise to pictures", SAMPLING)
    return decode(g, models, sample(g, models, reference, audio, kps))


def upscale_and_interpolate(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "Larger pictures, smoother movement",
        CHOOSE,
        "The frames of V-Express become four times as large (*Upscale Image (using Model)*), are halved to 1024 pixels "
        "(*scale_by* 0.5; 1 keeps all 2048), and get one more between every two (*Run Frame Interpolation Model*). "
        "*V-Express Assemble Video* plays them at **60**: twice the `fps` of Encode Audio, for it is not connected.",
        "**Memory:** every frame takes 50 MB while it is large, so ten seconds take 15 GB. Make longer clips in "
        "pieces.",
        IF_NOT_FOUND,
    )
    models = load_models(g, UPSCALING, INTERPOLATION)
    upscaler, interpolator = models.extra
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice)
    kps = idle_motion(g, face, voice, audio)
    g.group("From noise to pictures", SAMPLING)
    frames = decode(g, models, sample(g, models, reference, audio, kps))
    g.group("Larger and smoother", EXTRA)
    large = g.add("ImageUpscaleWithModel", upscale_model=upscaler, image=frames)
    halved = g.add("ImageScaleBy", image=large, upscale_method="area", scale_by=0.5)
    smooth = g.add("FrameInterpolate", interp_model=interpolator, images=halved)
    g.group("Video", VIDEO)
    save(g, assemble(g, smooth, voice, 60))


def face_restorer(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "A face restorer after V-Express",
        CHOOSE,
        "CodeFormer sharpens the face in every frame. Raise *codeformer_fidelity* if the person changes, lower it if "
        "the face stays soft. It looks at each frame alone: if detail flickers, turn on *deflicker*.",
        IF_NOT_FOUND,
    )
    models = load_models(g)
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice)
    kps = keep_still(g, face, audio)
    g.group("From noise to pictures", SAMPLING)
    frames = decode(g, models, sample(g, models, reference, audio, kps))
    g.group("Face restorer", EXTRA)
    restorer = g.add("FaceRestoreModelLoader", model_name="codeformer.pth")
    restored = g.add(
        "FaceRestoreCFWithModel", facerestore_model=restorer, image=frames, codeformer_fidelity=0.7
    )
    g.note(
        "What this needs",
        "### What this needs\n\n"
        "These two nodes come from another pack, **facerestore_cf**: install it with ComfyUI-Manager, or from "
        "[github.com/mav-rik/facerestore_cf](https://github.com/mav-rik/facerestore_cf).\n\n"
        "Its model goes into `models/facerestore_models/`:\n"
        "- [codeformer.pth](https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth)\n\n"
        "The pack downloads its own face detector at the first run. CodeFormer's licence is for non-commercial use.\n",
    )
    g.group("Video", VIDEO)
    save(g, assemble(g, restored, voice, audio["fps"]))


def ksampler(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "ComfyUI's own sampler",
        CHOOSE,
        "V-Express is a MODEL like any other: *KSampler* with `ddim`, `simple`, 25 steps and cfg 3.5 gives practically "
        "what *V-Express Sampler* gives. Try other samplers, SD 1.5 LoRAs and model patches here: put them between "
        "*Load V-Express* and *KSampler*.",
        "*denoise* stays at 1, since the latent is empty.",
        IF_NOT_FOUND,
    )
    models = load_models(g)
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice)
    kps = keep_still(g, face, audio)
    g.group("From noise to latents", SAMPLING)
    conditions = condition(g, reference, audio, kps)
    conditions["latent_image"] = conditions.pop("latent")
    latent = g.add(
        "KSampler",
        model=models.vexpress["model"],
        **conditions,
        seed=42,
        steps=25,
        cfg=3.5,
        sampler_name="ddim",
        scheduler="simple",
    )
    show(g, models, latent, voice, audio)


def low_memory(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "Little memory, any length",
        CHOOSE,
        "- **Load V-Express** holds the denoising model in fp8: half the memory.\n"
        "- **V-Express Context** denoises 12 frames together instead of 24. Movement is a little less coherent; if there "
        "is memory left, raise *length*.\n"
        "- **V-Express Render** works piece by piece: minutes or hours of video in the memory of some seconds. Cancelled "
        "or crashed? Press Run again, and it goes on.\n"
        "- **Load V-Express Audio Encoder** listens in windows, which matters for voices of more than ten minutes.",
        "**Still too much?** Set *width* and *height* of V-Express Encode Reference to 384.",
        IF_NOT_FOUND,
    )
    models = load_models(g, weight_dtype="fp8_e4m3fn", attention="windows of 60 s (approximate)")
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice)
    kps = idle_motion(g, face, voice, audio)
    g.group("From noise to video", SAMPLING)
    shorter = g.add("VExpressContext", model=models.vexpress["model"], length=12)
    video = render(g, models, condition(g, reference, audio, kps), voice, audio, shorter)
    g.group("Video", VIDEO)
    save(g, video)


def fast_draft(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "A rough draft, soon",
        CHOOSE,
        "**V-Express Speed** denoises in 8 steps and guides half of them: about a quarter of the work. The square is "
        "**256** pixels wide, a quarter of the pixels; V-Express was trained at 512, so the face is rougher too.",
        "Use it to find a seed, a crop or a movement. For the final video choose *exact: 25 steps*, and 512 for "
        "*size*, *width* and *height*.",
        IF_NOT_FOUND,
    )
    models = load_models(g)
    face = find_face(g, models, portrait, size=256)
    reference, audio = encode(g, models, face.image, voice, size=256)
    kps = idle_motion(g, face, voice, audio)
    g.group("From noise to latents", SAMPLING)
    speed = g.add("VExpressSpeed", model=models.vexpress["model"], preset=FASTER)
    latent = sample(g, models, reference, audio, kps, model=speed["model"], steps=speed["steps"])
    show(g, models, latent, voice, audio)


def half_frame_rate(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "Half the frames, twice as fast",
        CHOOSE,
        "*V-Express Encode Audio* asks for 15 frames per second, so half as many are denoised. *Run Frame Interpolation "
        "Model* draws one between every two, and *V-Express Assemble Video* plays them at **30**: twice the `fps` of "
        "Encode Audio, for it is not connected. For 12.5 and 25 change both.",
        "From F frames come 2 F − 1, so the picture ends within one frame of the voice. Assemble Video cuts the rest "
        "of the sound, at most 1/30 s.",
        "This is a draft: V-Express was trained at 30 frames per second. Look at quick lips, and compare with "
        "*portrait_and_voice*.",
        IF_NOT_FOUND,
    )
    models = load_models(g, INTERPOLATION)
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice, fps=15)
    kps = keep_still(g, face, audio)
    g.group("From noise to latents", SAMPLING)
    latent = sample(g, models, reference, audio, kps)
    g.group("Video", VIDEO)
    frames = decode(g, models, latent)
    smooth = g.add("FrameInterpolate", interp_model=models.extra[0], images=frames)
    save(g, assemble(g, smooth, voice, 30))


def portrait_voice_and_driving_kps(g: Graph) -> None:
    g.group("Portrait, voice, V-Kps", INPUTS)
    portrait, voice = load_portrait(g), load_voice(g)
    still = g.add("VExpressLoadKps", "V-Kps of the portrait", file="v-express_portrait_kps.json")
    driver = g.add("VExpressLoadKps", "V-Kps of the driving face", file="v-express_driving_kps.json")
    models = load_models(g, face=False)
    reference, audio = encode(g, models, portrait, voice)
    kps = retarget(g, still, audio, driving=driver, strategy="follow")
    g.group("From noise to latents", SAMPLING)
    latent = sample(g, models, reference, audio, kps)
    read_me(
        g,
        "A portrait, a voice and a head movement",
        "1. Choose a **portrait**: square, the face in the middle and about half as wide as the picture.\n"
        "2. Choose a **voice** and the **V-Kps** of the portrait: where its eyes and its nose are.\n"
        "3. Choose the **V-Kps of a driving face**: a track of eyes and nose, frame by frame.\n4. Press **Run**.",
        "**Retarget V-Kps** moves the portrait's head as the driving head moves (`follow`); *translation*, *rotation*, "
        "*scale* and *turn* say how much. Connect **Draw V-Kps** to check the points by eye.",
        "To find the V-Kps in pictures and videos, see the workflow *driving_video*.",
    )
    show(g, models, latent, voice, audio)


def expert(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "Every part by itself",
        CHOOSE,
        "*SamplerCustomAdvanced* with V-Express's own noise levels, exact DDIM and the original's noise: as set here, "
        "the same as *V-Express Sampler* but for the noise of a seed.",
        "- **V-Express Context**: other windows.\n"
        "- **V-Express Guidance Interval**: lower *end* to 0.7, and the last steps take half the time.\n"
        "- **V-Express Noise**: with *draws_before* 12 the seeds of the original script.",
        "**V-Express Evaluate** measures how near the head is to the V-Kps it was to follow, and how steady the video "
        "is. With insightface it can do without the landmarks of the video, and compare faces too: connect *portrait*.",
    )
    models = load_models(g)
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice)
    kps = idle_motion(g, face, voice, audio)
    g.group("Model and guidance", CONDITIONS)
    model = g.add("VExpressContext", model=models.vexpress["model"])
    guided = g.add("VExpressGuidanceInterval", model=model, end=1.0)
    conditions = condition(g, reference, audio, kps)
    latent = conditions.pop("latent")
    guider = g.add("CFGGuider", model=guided, **conditions, cfg=3.5)
    g.group("From noise to pictures", SAMPLING)
    noise = g.add("VExpressNoise")
    sampler = g.add("VExpressSamplerSelect")
    sigmas = g.add("VExpressScheduler", model=model)
    sampled = g.add(
        "SamplerCustomAdvanced",
        noise=noise,
        guider=guider,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=latent,
    )
    frames = decode(g, models, sampled)
    g.group("Video", VIDEO)
    video = assemble(g, frames, voice, audio["fps"])
    save(g, video)
    g.group("How good is it?", DRIVER)
    found = find_kps(g, models, frames, "the video", fps=audio["fps"])
    g.add("VExpressEvaluate", video=video, kps=kps, found_kps=found)


def talking_head(g: Graph) -> None:
    portrait, voice = load_portrait_and_voice(g)
    read_me(
        g,
        "A talking head in one node",
        CHOOSE,
        f"**{TALKING_HEAD}** finds the face, cuts it out, lets the head move with the voice and renders a video of any "
        "length. *head_movement* 0 keeps the head still; *frames* 0 is as long as the voice. Raise *audio_weight* if "
        "the lips move too little.",
        "It is a **subgraph**: its button at the top right opens it, and everything in it can be changed. It is also "
        f"among the nodes, as *{TALKING_HEAD}*.",
    )
    head = talking_head_inside(g.described)
    g.group("Talking head", FACE)
    video = g.subgraph(head, portrait=portrait, voice=voice)
    g.note("Models", next(node for node in head.nodes if node.title == "Models").schema.widgets[0].value)
    g.group("Video", VIDEO)
    save(g, video)


def talking_head_inside(described: dict) -> Graph:
    about = "A portrait and a voice become a video of any length: the face is cut out, and the head moves with the voice."
    g = Graph(TALKING_HEAD, described, first=101, about=about)
    portrait, voice = g.input("portrait", "IMAGE"), g.input("voice", "AUDIO")
    frames, seed = g.input("frames", "INT"), g.input("seed", "INT")
    steps, movement = g.input("steps", "INT"), g.input("head_movement", "FLOAT")
    audio_weight = g.input("audio_weight", "FLOAT")
    models = load_models(g)
    face = find_face(g, models, portrait)
    reference, audio = encode(g, models, face.image, voice, frames=frames)
    kps = idle_motion(g, face, voice, audio, amount=movement, seed=seed)
    g.group("From noise to video", SAMPLING)
    conditions = condition(g, reference, audio, kps, audio_weight=audio_weight)
    g.output("video", render(g, models, conditions, voice, audio, seed=seed, steps=steps))
    return g


TEMPLATES = (
    talking_head, portrait_and_voice, idle_motion_, driving_video, any_photo_crop_and_paste, dub_a_video, two_people,
    upscale_and_interpolate, face_restorer, half_frame_rate, fast_draft, low_memory, portrait_voice_and_driving_kps,
    ksampler, expert,
)  # fmt: skip
