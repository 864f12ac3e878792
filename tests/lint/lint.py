#!/usr/bin/env python3
"""House rules that the compiler does not check. Usage: lint.py CHECK [ROOT]

layers  modules include only what layers.py lets them; third-party headers only where it says
banned  functions of banned.py are not called
length  files and functions stay within their bounds
format  clang-format 14 would change nothing
words   no work marks and no paths of somebody's machine in the tree

Prints one line a complaint, file:line: text, and exits 1 when there is any.
"""
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import banned  # noqa: E402
import layers  # noqa: E402

CODE = {".c", ".h", ".cu", ".cuh"}
TEXT = CODE | {".py", ".sh", ".md", ".cmake", ".txt", ".yaml", ".yml", ".service", ".html"}
FOLDERS = ["src", "include", "kernels", "tests", "bench", "scripts", "cmake", "configs", "docs"]
MAX_LINES = {".c": 600, ".h": 600, ".py": 600, ".sh": 600, ".cu": 700, ".cuh": 700}
MAX_HEADER_LINES = 250
MAX_FUNCTION_LINES = 60


def files(root, suffixes, folders=FOLDERS):
    """Project files with one of the suffixes, as (path, name relative to root)."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file() and "__pycache__" not in path.parts:
                yield path, path.relative_to(root).as_posix()


def allowed(name, places):
    return any(name.startswith(p) if p.endswith("/") else name == p for p in places)


def blank(match):
    """Same number of lines and no code."""
    text = match.group(0)
    return text if text[0] not in "/\"'" else re.sub(r"[^\n]", " ", text)


TOKENS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def code_of(text):
    """The text with comments, strings and character constants blanked."""
    return TOKENS.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_include(name, module, header, is_system):
    """Complaint about one #include of file `name` (in `module`, None outside src), or None."""
    if header.startswith("pagoda/"):
        stem = header[len("pagoda/"):-len(".h")]
        owner = layers.OWNER.get(stem)
        if owner is None:
            return f"{header} has no row in layers.py"
        if module is None or owner == module:
            return None
        if owner not in layers.MODULES[module]:
            return f"{module} may not include {header} (of {owner})"
        if stem in layers.FORBIDDEN.get(module, []):
            return f"{module} may not include {header}"
        return None
    if is_system:
        if header in layers.SYSTEM or allowed(name, layers.THIRD_PARTY.get(header, [])):
            return None
        return f"<{header}> is not allowed in this file (layers.py)"
    if module and header.startswith("../"):
        return f'"{header}" reaches out of its folder'
    first = header.split("/")[0]
    if module and first in layers.MODULES and first != module:
        return f'"{header}" is private to {first}'
    return None


def layers_check(root):
    for path, name in files(root, CODE, ["src", "include", "kernels", "tests", "bench"]):
        parts = name.split("/")
        module = None
        if parts[0] == "src" and len(parts) > 2:
            module = parts[1]
            if module not in layers.MODULES:
                yield f"{name}:1: module {module} has no row in layers.py"
                continue
        elif parts[0] == "include":
            module = layers.OWNER.get(path.stem)
            if module is None:
                yield f"{name}:1: header has no row in layers.py"
                continue
        text = re.sub(r"/\*.*?\*/", blank, path.read_text(), flags=re.S)
        for m in re.finditer(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", text, re.M):
            complaint = check_include(name, module, m.group(2), m.group(1) == "<")
            if complaint:
                yield f"{name}:{line_of(text, m.start())}: {complaint}"


def banned_check(root):
    rules = [(rf"(?<![\w.>]){call}\s*\(", places, f"{call}: {reason}")
             for calls, places, reason in banned.CALLS for call in calls.split()]
    rules += banned.PATTERNS
    rules = [(re.compile(pattern), places, reason) for pattern, places, reason in rules]
    for path, name in files(root, CODE):
        text = code_of(path.read_text())
        for pattern, places, reason in rules:
            if allowed(name, places):
                continue
            for m in pattern.finditer(text):
                yield f"{name}:{line_of(text, m.start())}: {reason}"


def long_functions(text):
    """(first line, length) of each function over the bound whose first line gives no reason."""
    lines = text.split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if start is None and line.endswith("{") and line[:1] not in " \t}#/" and ") {" in line:
            start = number
        elif start is None and line == "{":
            start = number
        elif start is not None and line == "}":
            body = number - start - 1
            if body > MAX_FUNCTION_LINES and not lines[start].lstrip().startswith("/*"):
                yield start, body
            start = None


def length_check(root):
    for path, name in files(root, MAX_LINES.keys()):
        text = path.read_text()
        bound = MAX_HEADER_LINES if name.startswith("include/") else MAX_LINES[path.suffix]
        count = text.count("\n")
        if count > bound:
            yield f"{name}:{bound}: {count} lines, at most {bound} are allowed"
        if path.suffix not in CODE:
            continue
        for line, body in long_functions(text):
            yield (f"{name}:{line}: function of {body} lines; over {MAX_FUNCTION_LINES} its first "
                   "line must be a comment that says why")


def find_clang_format():
    for tool in ("clang-format-14", "clang-format"):
        if not shutil.which(tool):
            continue
        version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
        if "version 14." in version:
            return tool
    return None


def format_check(root):
    tool = find_clang_format()
    if tool is None:
        yield "clang-format 14 is not installed (scripts/setup.sh test)"
        return
    paths = [name for _, name in files(root, CODE)]
    for at in range(0, len(paths), 50):
        run = subprocess.run([tool, "--dry-run", "--ferror-limit=1", *paths[at:at + 50]],
                             capture_output=True, text=True, cwd=root)
        for m in re.finditer(r"^(\S+?):(\d+):\d+: (?:error|warning)", run.stderr, re.M):
            yield f"{m.group(1)}:{m.group(2)}: not as {tool} writes it"


# Split so that this file does not complain about itself.
WORDS = ["/wo" "rk/", "../sha" "red", "TO" "DO", "FIX" "ME", "XX" "X:", "/tmp/br" "ief",
         "Co-Auth" "ored"]


def words_check(root):
    pattern = re.compile("|".join(re.escape(w) for w in WORDS))
    top = [(p, p.name) for p in sorted(root.iterdir())
           if p.is_file() and (p.suffix in TEXT or p.name == ".gitignore")]
    ci = [(p, p.relative_to(root).as_posix()) for p in (root / ".ci").glob("*")]
    for path, name in [*top, *ci, *files(root, TEXT)]:
        if "/golden/" in name or "/corpus/" in name:
            continue
        for number, line in enumerate(path.read_text(errors="replace").split("\n"), 1):
            m = pattern.search(line)
            if m:
                yield f"{name}:{number}: '{m.group(0)}' does not belong here"


CHECKS = {"layers": layers_check, "banned": banned_check, "length": length_check,
          "format": format_check, "words": words_check}


def main(argv):
    if len(argv) not in (2, 3) or argv[1] not in CHECKS:
        sys.exit(__doc__)
    root = pathlib.Path(argv[2]) if len(argv) == 3 else pathlib.Path(__file__).parents[2]
    complaints = list(CHECKS[argv[1]](root))
    for complaint in complaints:
        print(complaint)
    print(f"{argv[1]}: {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
