#!/usr/bin/env python3
"""Shows that each lint complains about what it is for, and about nothing else, on small trees made
for the purpose. A check that cannot fail is worth nothing."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lint  # noqa: E402


def complaints(check, tree):
    """Complaints of a check about {name: text}."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in tree.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return list(lint.CHECKS[check](root))


class Layers(unittest.TestCase):
    def test_upward_include_fails_and_downward_passes(self):
        self.assertEqual(complaints("layers", {"src/kv/a.c": '#include "pagoda/str.h"\n'}), [])
        got = complaints("layers", {"src/kv/a.c": '\n#include "pagoda/engine.h"\n'})
        self.assertEqual(got, ["src/kv/a.c:2: kv may not include pagoda/engine.h (of engine)"])

    def test_public_headers_obey_their_modules_row(self):
        got = complaints("layers", {"include/pagoda/str.h": '#include "pagoda/api.h"\n'})
        self.assertEqual(len(got), 1)

    def test_unknown_headers_and_modules_need_a_row(self):
        self.assertEqual(len(complaints("layers", {"include/pagoda/new.h": "\n"})), 1)
        self.assertEqual(len(complaints("layers", {"src/new/a.c": "\n"})), 1)
        self.assertEqual(len(complaints("layers", {"src/kv/a.c": '#include "pagoda/new.h"\n'})), 1)

    def test_third_party_headers_only_in_their_file(self):
        text = "#include <cjson/cJSON.h>\n"
        self.assertEqual(complaints("layers", {"src/base/json.c": text}), [])
        self.assertEqual(len(complaints("layers", {"src/base/jsonw.c": text})), 1)
        self.assertEqual(len(complaints("layers", {"src/base/a.c": "#include <glib.h>\n"})), 1)

    def test_private_headers_stay_private(self):
        self.assertEqual(complaints("layers", {"src/http/a.c": '#include "http/b.h"\n'}), [])
        self.assertEqual(len(complaints("layers", {"src/http/a.c": '#include "api/b.h"\n'})), 1)
        self.assertEqual(len(complaints("layers", {"src/http/a.c": '#include "../api/b.h"\n'})), 1)
        self.assertEqual(complaints("layers", {"tests/unit/api/t.c": '#include "api/b.h"\n'}), [])

    def test_engine_sees_no_json(self):
        self.assertEqual(len(complaints("layers", {"src/engine/a.c": '#include "pagoda/json.h"\n'})), 1)

    def test_commented_includes_do_not_count(self):
        self.assertEqual(complaints("layers", {"src/kv/a.c": '/*\n#include "pagoda/api.h"\n*/\n'}), [])


class Banned(unittest.TestCase):
    def test_calls_fail_with_file_and_line(self):
        got = complaints("banned", {"src/kv/a.c": "void f(void) {\n    strcpy(a, b);\n}\n"})
        self.assertEqual(len(got), 1)
        self.assertTrue(got[0].startswith("src/kv/a.c:2: strcpy"))

    def test_names_in_comments_strings_and_longer_names_pass(self):
        text = '/* strcpy(a) */ // rand()\nconst char *s = "gets(x)";\npgd_free(p); v->free(v); v.system(1);\n'
        self.assertEqual(complaints("banned", {"src/kv/a.c": text}), [])

    def test_heap_and_cjson_have_their_one_file(self):
        self.assertEqual(complaints("banned", {"src/base/mem.c": "free(p);\n"}), [])
        self.assertEqual(len(complaints("banned", {"src/base/str.c": "free(p);\n"})), 1)
        self.assertEqual(complaints("banned", {"src/base/json.c": "cJSON_Delete(p);\n"}), [])
        self.assertEqual(len(complaints("banned", {"src/api/a.c": "cJSON_Delete(p);\n"})), 1)
        self.assertEqual(len(complaints("banned", {"src/base/json.c": "cJSON_GetObjectItem(p, k);\n"})), 1)

    def test_strtol_needs_its_end_pointer(self):
        self.assertEqual(len(complaints("banned", {"src/kv/a.c": "strtoul(s, NULL, 10);\n"})), 1)
        self.assertEqual(complaints("banned", {"src/kv/a.c": "strtoul(s, &end, 10);\n"}), [])


class Length(unittest.TestCase):
    def test_files_have_their_bound(self):
        self.assertEqual(complaints("length", {"src/kv/a.c": "\n" * 600, "kernels/a.cu": "\n" * 700}), [])
        self.assertEqual(len(complaints("length", {"src/kv/a.c": "\n" * 601})), 1)
        self.assertEqual(len(complaints("length", {"kernels/a.cu": "\n" * 701})), 1)
        self.assertEqual(len(complaints("length", {"include/pagoda/a.h": "\n" * 251})), 1)

    def test_long_functions_need_a_reason_on_their_first_line(self):
        body = "    x();\n" * 61
        self.assertEqual(len(complaints("length", {"src/kv/a.c": "void f(void) {\n" + body + "}\n"})), 1)
        reason = "    /* one case a line */\n"
        self.assertEqual(complaints("length", {"src/kv/a.c": "void f(void) {\n" + reason + body + "}\n"}), [])
        self.assertEqual(complaints("length", {"src/kv/a.c": "void f(void) {\n" + body[9:] + "}\n"}), [])
        table = "static const int t[] = {\n" + "    1,\n" * 100 + "};\n"
        self.assertEqual(complaints("length", {"src/kv/a.c": table}), [])


class Format(unittest.TestCase):
    def test_a_space_too_many_fails(self):
        style = (pathlib.Path(__file__).parents[2] / ".clang-format").read_text()
        self.assertEqual(complaints("format", {".clang-format": style, "src/kv/a.c": "int  a;\n"}),
                         ["src/kv/a.c:1: not as " + str(lint.find_clang_format()) + " writes it"])
        self.assertEqual(complaints("format", {".clang-format": style, "src/kv/a.c": "int a;\n"}), [])


class Words(unittest.TestCase):
    def test_each_word_fails_and_golden_data_is_left_alone(self):
        for word in lint.WORDS:
            self.assertEqual(len(complaints("words", {"docs/a.md": f"x {word} y\n"})), 1, word)
            self.assertEqual(complaints("words", {"tests/golden/a.txt": f"x {word} y\n"}), [])


if __name__ == "__main__":
    unittest.main()
