"""Check that docstrings say in plain English what code does: scripts/check_prose.py [FILES].

Prints each docstring and comment that breaks a rule, and exits with 1 if there is one:

- The docstring of a module, function or method begins with a verb: "Count every message". That of a
  class or property may begin with a noun, but never with a question: not with "Whether" or "Is it".
- No docstring and no comment has one of the `BANNED` phrases, which are hard to understand for a
  reader whose third language is English.

Ruff's D401 knows the mood of many verbs, but it looks at functions only, and takes every word that
it does not know for a verb.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CHECKED: Final = ("echo_trio", "loadgen", "scripts")

BANNED: Final = re.compile(
    r"\b(likewise|of it|so many|who (?:has|have)|what \S+ have left)\b", re.IGNORECASE
)
#: First words of a question, or of a relative clause.
QUESTIONS: Final = re.compile(
    "Are|Can|Could|Did|Does|Had|Has|How|Is|May|Shall|Should|Was|Were|What|When|Where|Whether|Which|"
    "Who|Whose|Why|Will|Would"
)
#: Other first words that are no verb.
NO_VERBS: Final = re.compile(
    "A|After|All|Also|An|And|As|At|Because|Before|Both|By|Each|Either|Every|Everything|For|From|"
    "Half|Here|I|If|In|It|Its|Just|Less|Many|More|Most|Neither|No|None|Nor|Not|Nothing|Of|On|Once|"
    "One|Only|Or|Other|Our|Out|Over|Same|Several|Some|Such|That|The|Their|Then|There|These|They|"
    "This|Those|Three|To|Two|Under|Up|We|With|Within|Without"
)
#: The form of a verb at the beginning of a sentence.
VERB: Final = re.compile("[A-Z][A-Za-z-]+[,:.]?")
#: An s at the end makes a plural, or "counts" instead of "count"; but not in these.
ENDS_IN_S: Final = re.compile(r"(ss|us|is)$")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def find_faults(source: str) -> Iterator[tuple[int, str]]:
    """Find the faults of a file: the line and the description of each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            line = node.body[0].lineno
            if fault := _judge_first_word(node, text.split(maxsplit=1)[0]):
                yield line, fault
            yield from ((line, fault) for fault in _find_phrases(text))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from ((token.start[0], fault) for fault in _find_phrases(token.string))


def _judge_first_word(node: Documented, word: str) -> str | None:
    if QUESTIONS.fullmatch(word):
        return f"begins with {word!r}: say what it does, or what it is"
    if isinstance(node, ast.ClassDef) or _is_property(node):
        return None
    is_plural = word.endswith("s") and not ENDS_IN_S.search(word)
    if not VERB.fullmatch(word) or NO_VERBS.fullmatch(word) or is_plural:
        return f"begins with {word!r}, which is no verb: say what it does"
    return None


def _is_property(node: Documented) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(each).endswith("property") for each in node.decorator_list
    )


def _find_phrases(text: str) -> Iterator[str]:
    for found in BANNED.finditer(" ".join(text.split())):
        yield f"has the phrase {found[0]!r}"


def main(paths: Sequence[str]) -> int:
    """Check the given files, or all; return the exit code."""
    files = [Path(each) for each in paths] or [
        path for folder in CHECKED for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    count = 0
    for path in files:
        for line, fault in find_faults(path.read_text(encoding="utf-8")):
            count += 1
            print(f"{path}:{line}: {fault}")
    return 1 if count else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
