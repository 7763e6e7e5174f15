"""The nodes, in the order an artist meets them."""

from .audio import AudioEncoderLoader, EncodeAudio
from .conditioning import Conditioning, EncodeReference
from .crop import CropFace, PasteFace
from .detect import DetectKps, KpsFromLandmarks
from .evaluate import Evaluate
from .kps import DrawKps, LoadKps, SaveKps
from .limits import keep_limits
from .models import Loader
from .motion import IdleMotion, RetargetKps
from .render import Render
from .sampling import Context, Noise, Sampler, SamplerSelect, Scheduler
from .speed import GuidanceInterval, Speed
from .video import AssembleVideo

NODES = [
    Loader,
    AudioEncoderLoader,
    DetectKps,
    KpsFromLandmarks,
    CropFace,
    EncodeReference,
    EncodeAudio,
    LoadKps,
    RetargetKps,
    IdleMotion,
    DrawKps,
    SaveKps,
    Conditioning,
    Speed,
    Sampler,
    AssembleVideo,
    Render,
    PasteFace,
    Evaluate,
    Context,
    GuidanceInterval,
    Scheduler,
    SamplerSelect,
    Noise,
]

for node in NODES:
    keep_limits(node)
