"""Every language says what the nodes' schemas say, and the real server hands them all to the frontend."""

import copy
import re

import pytest
from pack.tools.locales import SOURCE, changed, languages, problems, read, spoken, texts

TOOLTIP = "VExpressLoader.inputs.reference_net.tooltip"
COMFYUI_IN_CHINESE = {
    *("加载音频编码器", "MediaPipe 人脸标记器", "VAE解码", "保存图像", "保存视频", "预览图像"),
    *("K采样器选择", "自定义采样器（高级）", "随机噪波"),
}


@pytest.fixture
def translated() -> dict:
    return copy.deepcopy(read(SOURCE))


def test_english_is_what_the_schemas_say():
    assert read(SOURCE) == spoken(), "The nodes say something new: run `python dev.py locales`."


@pytest.mark.parametrize("language", languages())
def test_a_language_says_everything_and_nothing_else(language):
    found = problems(language, read(language), spoken())
    assert not found, "\n".join(found)


def test_chinese_quotes_only_what_the_canvas_shows():
    shown = {text for key, text in texts(read("zh")).items() if key.endswith("name")} | COMFYUI_IN_CHINESE
    for key, text in texts(read("zh")).items():
        unknown = set(re.findall("“(.*?)”", text)) - shown - {"in denoising_unet"}
        assert not unknown, f"{key} quotes {unknown}, which no node shows."


def test_a_missing_text_is_named(translated):
    del translated["VExpressLoader"]["inputs"]["reference_net"]["tooltip"]
    assert problems("xx", translated, read(SOURCE)) == [f"locales/xx/nodeDefs.json lacks {TOOLTIP}."]


def test_a_text_without_a_node_is_named(translated):
    translated["VExpressLoader"]["inputs"]["old"] = {"name": "old"}
    (sentence,) = problems("xx", translated, read(SOURCE))
    assert sentence == "locales/xx/nodeDefs.json has VExpressLoader.inputs.old.name, which no node has."


@pytest.mark.parametrize(
    ("text", "said"), [(" ", "says nothing at"), ("a | b", "has one of @{}| at"), ("@", "has one of @{}| at")]
)
def test_an_empty_text_and_one_the_frontend_misreads_are_named(translated, text, said):
    translated["VExpressLoader"]["inputs"]["reference_net"]["tooltip"] = text
    (sentence,) = problems("xx", translated, read(SOURCE))
    assert sentence == f"locales/xx/nodeDefs.json {said} {TOOLTIP}."


def test_english_that_changed_is_to_be_translated_anew(translated):
    translated["VExpressLoader"]["inputs"]["reference_net"]["tooltip"] = "Choose another file."
    del translated["VExpressContext"]
    assert changed(read(SOURCE), translated) == [TOOLTIP]


def test_the_server_hands_out_every_language(server):
    served = server.get("/i18n")
    for language in (SOURCE, *languages()):
        assert served[language]["nodeDefs"] == read(language)
