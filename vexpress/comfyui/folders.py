"""ComfyUI's folders, as far as this pack reads and writes them."""

import contextlib
import hashlib
import os
import uuid
from pathlib import Path

import folder_paths

from ..untrusted import MOST_TEXT
from .fingerprint import file_identity

MODELS = "vexpress"  # the folder under models/, and its key in extra_model_paths.yaml
AUDIO_ENCODERS = "audio_encoders"  # ComfyUI's own
SAVED_KPS = "v-kps"  # in the output folder, where Save V-Kps saves if not told otherwise
LONGEST_NAME = 255  # bytes, on every file system in use


def register_model_folder() -> None:
    """Make models/vexpress known, beside what extra_model_paths.yaml may have said of it."""
    default = os.path.join(folder_paths.models_dir, MODELS)
    with contextlib.suppress(OSError):  # a convenience for users, where it may be made
        os.makedirs(default, exist_ok=True)
    folders, extensions = folder_paths.folder_names_and_paths.get(MODELS, ([], set()))
    if default not in folders:
        folders = [*folders, default]
    extensions = {*extensions, *folder_paths.supported_pt_extensions}  # the yaml leaves this set empty
    folder_paths.folder_names_and_paths[MODELS] = (folders, extensions)


def model_files(folder: str = MODELS) -> list[str]:
    return folder_paths.get_filename_list(folder)


def model_path(name: str, folder: str = MODELS) -> str:
    return folder_paths.get_full_path_or_raise(folder, name)


def face_detector_files() -> list[Path]:
    return _insightface_files("det_10g.onnx")


def face_recognizer_files() -> list[Path]:
    return _insightface_files("w600k_r50.onnx")


def _insightface_files(name: str) -> list[Path]:
    return _shared_files("insightface", "models", "buffalo_l", name)


def syncnet_files() -> list[Path]:
    return _shared_files("syncnet", "syncnet_v2.model")


def _shared_files(folder: str, *parts: str) -> list[Path]:
    """Where a file of a folder of models may lie that users share with other packs."""
    shared, _ = folder_paths.folder_names_and_paths.get(folder, ([], set()))
    folders = [os.path.join(folder_paths.models_dir, folder), *shared]
    return [Path(folder, *parts) for folder in folders]


def kps_files(extensions: tuple[str, ...]) -> list[str]:
    """Tracks that a COMBO offers: those in the input folder, and those that Save V-Kps has saved, annotated."""
    inputs = _names_in(Path(folder_paths.get_input_directory()), extensions)
    saved = _names_in(Path(folder_paths.get_output_directory(), SAVED_KPS), extensions)
    offered = [*inputs, *(f"{SAVED_KPS}/{name} [output]" for name in saved)]
    return [name for name in offered if input_exists(name)]


def _names_in(folder: Path, extensions: tuple[str, ...]) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(file.name for file in folder.iterdir() if file.suffix.lower() in extensions)


def input_exists(name: object) -> bool:
    """Whether it is a file in ComfyUI's folders; whatever leads out of them, links too, is none."""
    known = isinstance(name, str) and folder_paths.exists_annotated_filepath(name)
    return known and os.path.isfile(folder_paths.get_annotated_filepath(name))


def input_path(name: str) -> Path:
    """Of a COMBO's value, also with an annotation as in "track.json [output]"."""
    path = Path(folder_paths.get_annotated_filepath(name))
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is not at {path}: it was there when the job was queued.")
    return path


def input_fingerprint(name: str) -> str:
    """Changes when the file does."""
    with open(input_path(name), "rb") as file:
        return hashlib.sha256(file.read(MOST_TEXT + 1)).hexdigest()  # no longer one is read


def weights_fingerprint(*paths: str) -> str:
    """Changes when one of the files, which may be missing, is replaced; they are too large to be read for that."""
    return repr([file_identity(path) for path in paths if os.path.isfile(path)])


def next_output(prefix: str, extension: str, width: int, height: int) -> tuple[Path, dict[str, str]]:
    """The next free file for a prefix in the output folder, and how ComfyUI's history names it."""
    output = folder_paths.get_output_directory()
    if not folder_paths.is_within_directory(output, os.path.join(output, prefix)):
        raise ValueError(f"filename_prefix is {prefix!r}: it must stay in the output folder.")
    named = os.path.normpath(prefix)  # ComfyUI finds no number behind a slash, and would begin anew
    if named == os.curdir:
        raise ValueError(f"filename_prefix is {prefix!r}, which names no file.")
    try:
        folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(named, output, width, height)
    except (OSError, ValueError) as error:
        raise ValueError(f"filename_prefix is {prefix!r}, which names no file: {error}") from error
    name = f"{stem}_{counter:05}_{extension}"
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"filename_prefix has {len(stem)} characters, too many for the name of a file.")
    return Path(folder) / name, {"filename": name, "subfolder": subfolder, "type": "output"}


def unfinished_renders() -> Path:
    """Where renders keep what they need to go on; in the output folder, for ComfyUI empties temp when it starts."""
    return Path(folder_paths.get_output_directory(), "vexpress", ".resume")


def temp_file(extension: str) -> Path:
    """A name that nobody uses, in the folder that ComfyUI empties when it starts."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"v-express_{uuid.uuid4().hex}{extension}"
