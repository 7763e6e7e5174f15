"""The pack's own socket types, and one that ComfyUI's API does not name."""

from comfy_api.latest import io

AudioProjection = io.Custom("VEXPRESS_AUDIO_PROJECTION")
AudioTokens = io.Custom("VEXPRESS_AUDIO")
FaceLandmarks = io.Custom("FACE_LANDMARKS")
Kps = io.Custom("VEXPRESS_KPS")
Placement = io.Custom("VEXPRESS_PLACEMENT")
Reference = io.Custom("VEXPRESS_REFERENCE")
ReferenceNet = io.Custom("VEXPRESS_REFERENCE_NET")
