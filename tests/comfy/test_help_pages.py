"""Every node has a help page in every language that any page is written in, and the pages tell what the nodes really have."""

import ast
import json
import re
from pathlib import Path

import pytest
from pack.nodes import NODES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "web" / "docs"
SCHEMAS = {schema.node_id: schema for schema in (node.GET_SCHEMA() for node in NODES)}
ENGLISH = "en"
LANGUAGES = [ENGLISH, *sorted({page.stem for page in DOCS.glob("*/*.md")})]
SECTIONS = ["How to wire it", "Example", "Inputs", "Outputs", "If something goes wrong"]
INPUTS, OUTPUTS, ERRORS = (SECTIONS.index(name) for name in ("Inputs", "Outputs", "If something goes wrong"))
SHORTEST_SENTENCE = 12  # characters of a message that are the same each time

TEMPLATE = re.compile(r"\*([a-z]+(?:_[a-z]+)+)\*")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
FIRST_CELL = re.compile(
    r"^\| *`(\w+)`(?:（(.+?)）)? *\|", re.MULTILINE
)  # an id, and the name in another language
QUOTED_ERROR = re.compile(r"^- `([^`]+\.)`", re.MULTILINE)  # a whole sentence

every_language = pytest.mark.parametrize("language", LANGUAGES)
every_node = pytest.mark.parametrize("node_id", SCHEMAS)
every_page = pytest.mark.parametrize(
    ("node_id", "language"), [(node_id, language) for node_id in SCHEMAS for language in LANGUAGES]
)


def path_of(node_id: str, language: str) -> Path:
    """Where ComfyUI's frontend looks for the page."""
    return DOCS / f"{node_id}.md" if language == ENGLISH else DOCS / node_id / f"{language}.md"


def pages_in(language: str) -> list[Path]:
    return [*DOCS.glob("*.md" if language == ENGLISH else f"*/{language}.md")]


def page(node_id: str, language: str) -> str:
    return path_of(node_id, language).read_text(encoding="utf-8")


def headings(text: str) -> list[tuple[int, str]]:
    return [(len(marks), title) for marks, title in HEADING.findall(text)]


def section(text: str, number: int) -> str:
    return re.split(r"^## .+$", text, flags=re.MULTILINE)[1 + number]


def code_in_first_cells(text: str, number: int) -> list[str]:
    return sorted(name for name, _ in FIRST_CELL.findall(section(text, number)))


@every_language
def test_no_node_lacks_a_page_and_no_page_lacks_a_node(language):
    assert sorted(pages_in(language)) == sorted(path_of(node_id, language) for node_id in SCHEMAS)


@every_language
def test_the_sections_of_a_language_have_the_same_names_on_every_page(language):
    texts = [page.read_text(encoding="utf-8") for page in pages_in(language)]
    assert len({tuple(headings(text)[1:]) for text in texts}) == 1


@every_node
def test_an_english_page_has_the_sections_that_all_have(node_id):
    assert headings(page(node_id, ENGLISH))[1:] == [(2, name) for name in SECTIONS]


@every_page
def test_a_page_has_as_many_headings_of_each_level_as_the_english_one(node_id, language):
    levels = [level for level, _ in headings(page(node_id, language))]
    assert levels == [level for level, _ in headings(page(node_id, ENGLISH))]


@every_page
def test_a_page_has_a_row_for_every_input_and_output_and_for_nothing_else(node_id, language):
    schema, text = SCHEMAS[node_id], page(node_id, language)
    assert code_in_first_cells(text, INPUTS) == sorted(socket.id for socket in schema.inputs)
    assert code_in_first_cells(text, OUTPUTS) == sorted(socket.display_name for socket in schema.outputs)


@every_page
def test_a_page_names_inputs_and_outputs_as_the_node_shows_them(node_id, language):
    said, english = (
        json.loads((ROOT / "locales" / spoken / "nodeDefs.json").read_text(encoding="utf-8"))[node_id]
        for spoken in (language, ENGLISH)
    )
    for number, kind in ((INPUTS, "inputs"), (OUTPUTS, "outputs")):
        names = {
            key if kind == "inputs" else english[kind][key]["name"]: socket["name"]
            for key, socket in said.get(kind, {}).items()
        }
        for name, shown in FIRST_CELL.findall(section(page(node_id, language), number)):
            assert (shown or name) == names[name]


@every_page
def test_a_page_has_pictures_and_they_are_there(node_id, language):
    pictures = PICTURE.findall(page(node_id, language))
    assert pictures and [name for name in pictures if not (DOCS / name).is_file()] == []
    assert all((DOCS / name).parent == DOCS / "images" for name in pictures)


@every_page
def test_a_page_is_called_as_the_node_in_that_language(node_id, language):
    title = SCHEMAS[node_id].display_name
    if language != ENGLISH:
        translations = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
        title = translations[node_id]["display_name"]
    assert headings(page(node_id, language))[0] == (1, title)


@every_page
def test_a_page_names_only_templates_that_there_are(node_id, language):
    named = TEMPLATE.findall(page(node_id, language))
    assert {name for name in named if not (ROOT / "workflows" / f"{name}.json").is_file()} == set()


@every_node
def test_a_page_quotes_errors_as_the_code_words_them(node_id):
    quoted = QUOTED_ERROR.findall(section(page(node_id, ENGLISH), ERRORS))
    unknown = [error for error in quoted if not any(message.fullmatch(error) for message in MESSAGES)]
    assert unknown == []


@every_page
def test_every_language_quotes_the_same_errors(node_id, language):
    here, english = (
        QUOTED_ERROR.findall(section(page(node_id, spoken), ERRORS)) for spoken in (language, ENGLISH)
    )
    assert here == english


def messages() -> list[re.Pattern]:
    """All sentences in the code of the nodes, with anything in the place of their values."""
    files = [*(ROOT / "nodes").rglob("*.py"), *(ROOT / "vexpress").rglob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files if "training" not in file.parts]
    sentences = [_parts(string) for tree in trees for string in ast.walk(tree)]
    return [
        re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
        for parts in sentences
        if len("".join(parts)) >= SHORTEST_SENTENCE
    ]


def _parts(node: ast.AST) -> list[str]:
    """The constant text of a string, in pieces around its values; nothing if it is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if not isinstance(node, ast.JoinedStr):
        return []
    text = "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return text.split("\0")


MESSAGES = messages()
