"""ComfyUI's folders, as far as this pack reads and writes them."""

import hashlib
from pathlib import Path

import folder_paths


def input_files(extensions: tuple[str, ...]) -> list[str]:
    """Names in the input folder that a COMBO offers."""
    folder = Path(folder_paths.get_input_directory())
    return sorted(file.name for file in folder.iterdir() if file.suffix in extensions and file.is_file())


def input_exists(name: str) -> bool:
    return folder_paths.exists_annotated_filepath(name)


def input_path(name: str) -> Path:
    """Of a COMBO's value, also with an annotation as in "track.json [output]"."""
    return Path(folder_paths.get_annotated_filepath(name))


def input_fingerprint(name: str) -> str:
    """Changes when the file does."""
    return hashlib.sha256(input_path(name).read_bytes()).hexdigest()


def next_output(prefix: str, extension: str, width: int, height: int) -> tuple[Path, dict[str, str]]:
    """The next free file for a prefix in the output folder, and how ComfyUI's history names it."""
    folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), width, height
    )
    name = f"{stem}_{counter:05}_{extension}"
    return Path(folder) / name, {"filename": name, "subfolder": subfolder, "type": "output"}
