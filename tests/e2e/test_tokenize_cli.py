"""pagoda tokenize: ids, tables, and back."""

import os
import subprocess
import tempfile
import unittest

from harness import BINARY, MODEL


class Tokenize(unittest.TestCase):
    def run_it(self, *args, text=b""):
        r = subprocess.run([BINARY, "tokenize", *args], input=text, capture_output=True,
                           timeout=60)
        return r.returncode, r.stdout.decode(), r.stderr.decode()

    def test_ids_decode_to_the_text_they_came_from(self):
        text = "Hello, wörld 中\n\ttab \\ \"quoted\"\n"
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write(text)
            f.flush()
            for args, stdin in (([text], b""), (["--file", f.name], b""), ([], text.encode())):
                code, ids, err = self.run_it(MODEL, "--ids", "--no-special", *args, text=stdin)
                self.assertEqual((code, err), (0, ""))
                code, back, err = self.run_it(MODEL, "--decode", ids)
                self.assertEqual((code, back, err), (0, text, ""))

    def test_the_table_has_a_row_for_every_token(self):
        code, ids, _ = self.run_it(MODEL, "Hello there", "--ids")
        code, table, _ = self.run_it(os.path.join(MODEL, "tokenizer.json"), "Hello there")
        rows = table.splitlines()
        self.assertEqual(code, 0)
        self.assertEqual([row.split()[1] for row in rows[1:-1]], ids.split())
        self.assertRegex(rows[-1], r"^\d+ tokens?, 11 bytes, 11 characters, [\d.]+ bytes a token$")

    def test_mistakes_have_exit_codes_and_sentences(self):
        for args, stdin, want_code, want in (
            ([], b"", 2, "no model given"),
            ([MODEL, "x", "--file", "y"], b"", 2, "only one of"),
            ([MODEL, "--bogus"], b"", 2, "unknown flag"),
            (["/nonexistent"], b"", 1, "/nonexistent"),
            ([MODEL, "--file", "/nonexistent"], b"", 1, "/nonexistent"),
            ([MODEL], b"a\xff", 1, "no valid UTF-8 at byte 1"),
            ([MODEL, "--decode", "1 x"], b"", 1, "'x' is no token id"),
            ([MODEL, "--decode", "99999999"], b"", 1, "99999999"),
        ):
            with self.subTest(args=args):
                code, out, err = self.run_it(*args, text=stdin)
                self.assertEqual((code, out), (want_code, ""), err)
                self.assertIn(want, err)


if __name__ == "__main__":
    unittest.main()
