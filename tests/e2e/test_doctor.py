"""pagoda doctor: what it says of a good model, of damaged ones, of a port in use and of GPUs, and that
it is what serve says. The GPU is the fake library of test_device.py."""

import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import unittest

from harness import BINARY, MODEL, Server, free_port

BUILD = os.path.dirname(os.path.abspath(BINARY))
FAKE = os.path.join(BUILD, "fake", "libpagoda_cuda.so")
SMALL = ("--max-model-len", "512", "--kv-cache-memory-bytes", "8M")


class Report:
    """One run of doctor --json."""

    def __init__(self, *args, binary=None, expect=None, env=None, **popen):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PAGODA_")}
        run = subprocess.run([binary or BINARY, "doctor", "--json", *args], capture_output=True,
                             timeout=60, env={**clean, **(env or {})}, check=False, **popen)
        self.code = run.returncode
        self.data = json.loads(run.stdout)
        self.checks = self.data["checks"]
        self.plan = self.data["memory_plan"]
        assert run.stderr == b"", run.stderr
        assert self.data["ok"] == (self.code == 0) == (not self.failed()), self.data
        if expect is not None:
            assert self.code == expect, self.checks

    def failed(self):
        return [c["topic"] for c in self.checks if c["verdict"] == "fail"]

    def of(self, topic):
        return [c for c in self.checks if c["topic"] == topic]

    def text(self, topic):
        return "\n".join(c["text"] for c in self.of(topic))

    def verdict(self, topic):
        (check,) = self.of(topic)
        return check["verdict"]


def doctor(*args, **kw):
    if "--port" not in args:
        args = (*args, "--port", str(free_port()))
    return Report(*args, **kw)


class GoodModel(unittest.TestCase):
    def test_the_bundled_model_is_good(self):
        r = doctor(MODEL, *SMALL, "--device", "cpu", expect=0)
        for topic in ("processor", "memory", "model", "tokenizer", "chat template", "output format",
                      "memory plan", "server"):
            self.assertEqual(r.verdict(topic), "ok", topic)
        self.assertIn("Qwen3ForCausalLM", r.text("model"))
        self.assertIn("hermes", r.text("output format"))

    def test_the_text_form_says_the_same(self):
        out = subprocess.run([BINARY, "doctor", MODEL, *SMALL, "--port", str(free_port())],
                             capture_output=True, timeout=60, check=True).stdout.decode()
        lines = out.splitlines()
        self.assertTrue(any(line.startswith("ok    memory plan") for line in lines), out)
        self.assertNotIn("FAIL", out)
        self.assertEqual(lines[-1], "Nothing stands in the way.")

    def test_the_plan_is_the_one_that_serve_makes(self):
        flags = (*SMALL, "--device", "cpu", "--max-num-seqs", "7", "--no-enable-embeddings")
        server = Server(*flags)
        self.addCleanup(server.stop)
        log = next(line for line in server.read_log().splitlines() if "memory plan of" in line)
        r = doctor(MODEL, *flags, expect=0)
        self.assertLessEqual(r.plan["kv_bytes"], 8 * 2**20)
        self.assertGreater(r.plan["kv_blocks"], 100)
        self.assertEqual(r.plan["max_model_len"], 512)
        self.assertEqual(r.plan["max_num_seqs"], 7)
        for text in (log, r.text("memory plan")):
            for part in (f'({r.plan["kv_blocks"]} blocks of {r.plan["kv_block_tokens"]} tokens,',
                         f'work space {r.plan["workspace_bytes"] / 2**20:.1f} MiB',
                         f'staging {r.plan["staging_bytes"] / 2**10:.1f} KiB',
                         "context 512 tokens, room for "
                         f'{r.plan["full_length_sequences"]} sequences of full length'):
                self.assertIn(part, text)
        self.assertIn(r.plan["device"], log)
        served = json.loads(server.get("/server_info")[1])["memory_plan"]
        self.assertEqual(set(served), set(r.plan))
        # what is free differs from moment to moment, and packed weights are padded a little
        self.assertLessEqual(abs(served.pop("weight_bytes") - r.plan["weight_bytes"]),
                             r.plan["weight_bytes"] // 8)
        self.assertGreater(served.pop("device_bytes_free_before"), 0)
        self.assertEqual(served, {k: r.plan[k] for k in served})

    def test_a_default_context_that_is_cut_is_noted(self):
        r = doctor(MODEL, "--device", "cpu", "--kv-cache-memory-bytes", "8M", expect=0)
        self.assertEqual(r.verdict("memory plan"), "note")
        self.assertIn("--kv-cache-memory-bytes", r.of("memory plan")[0]["advice"])

    def test_without_a_model_only_the_machine_is_looked_at(self):
        r = doctor(expect=0)
        self.assertEqual(r.verdict("model"), "note")
        self.assertIsNone(r.plan)

    def test_environment_and_file_count_as_for_serve(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write("max-model-len: 256\n")
            f.flush()
            r = doctor("--config", f.name, env={"PAGODA_MODEL": MODEL, "PAGODA_DEVICE": "cpu"},
                       expect=0)
        self.assertEqual(r.plan["max_model_len"], 256)

    def test_nothing_stays_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "admin.sock")
            port = free_port()
            doctor(MODEL, *SMALL, "--port", str(port), "--admin-socket", path, cwd=folder,
                   expect=0)
            self.assertEqual(os.listdir(folder), [])
            with socket.socket() as s:
                self.assertNotEqual(s.connect_ex(("127.0.0.1", port)), 0)

    def test_few_open_files_are_noted(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        r = doctor(MODEL, *SMALL, preexec_fn=limit, expect=0)
        self.assertEqual(r.verdict("open files"), "note")
        self.assertIn("limit 256", r.text("open files"))
        r = doctor(MODEL, *SMALL, "--max-connections", "100", preexec_fn=limit, expect=0)
        self.assertEqual(r.verdict("open files"), "ok")


class DamagedModel(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.model = os.path.join(self.folder, "model")
        shutil.copytree(MODEL, self.model)

    def path(self, name):
        return os.path.join(self.model, name)

    def edit(self, name, change):
        with open(self.path(name)) as f:
            value = json.load(f)
        change(value)
        with open(self.path(name), "w") as f:
            json.dump(value, f)

    def same_as_serve(self, report, topic):
        """serve refuses with the very text."""
        server = Server(*SMALL, model=self.model, wait=False)
        self.assertEqual(server.process.wait(timeout=30), 78, server.read_log())
        self.assertIn(report.text(topic), server.read_log())

    def test_a_field_of_the_configuration(self):
        self.edit("config.json", lambda c: c.update(hidden_size="wide"))
        r = doctor(self.model, expect=1)
        self.assertEqual(r.failed(), ["model"])
        self.assertIn(self.model, r.text("model"))
        self.assertIn("hidden_size", r.text("model"))
        self.assertEqual(r.verdict("tokenizer"), "ok", "the other parts are looked at")
        self.assertIsNone(r.plan)
        self.same_as_serve(r, "model")

    def test_a_family_that_is_not_known(self):
        self.edit("config.json", lambda c: c.update(architectures=["PigeonForCausalLM"]))
        r = doctor(self.model, expect=1)
        self.assertIn("PigeonForCausalLM", r.text("model"))
        self.same_as_serve(r, "model")

    def test_weights_that_end_too_early(self):
        name = next(n for n in sorted(os.listdir(self.model)) if n.endswith(".safetensors"))
        os.truncate(self.path(name), os.path.getsize(self.path(name)) - 1000)
        r = doctor(self.model, expect=1)
        self.assertEqual(r.failed(), ["model"])
        self.assertIn(name, r.text("model"))
        self.same_as_serve(r, "model")

    def test_several_damages_are_all_told(self):
        with open(self.path("tokenizer.json"), "w") as f:
            f.write('{"model": ')
        with open(self.path("chat_template.jinja"), "w") as f:
            f.write("{% for m in messages %}")
        r = doctor(self.model, expect=1)
        self.assertEqual(r.failed(), ["tokenizer", "chat template"])
        self.assertIn("tokenizer.json", r.text("tokenizer"))
        self.assertIn("chat_template.jinja", r.text("chat template"))
        self.assertEqual(r.verdict("model"), "ok")
        self.same_as_serve(r, "tokenizer")

    def test_a_template_that_takes_no_message(self):
        with open(self.path("chat_template.jinja"), "w") as f:
            f.write("{{ raise_exception('no visitors') }}")
        r = doctor(self.model, expect=1)
        self.assertEqual(r.failed(), ["chat template"])
        self.assertIn("no visitors", r.text("chat template"))

    def test_a_vocabulary_smaller_than_the_tokenizer(self):
        self.edit("config.json", lambda c: c.update(vocab_size=8180))
        r = doctor(self.model, "--load-format", "dummy", expect=1)
        self.assertEqual(r.failed(), ["vocabulary"])
        self.assertIn("vocab_size 8180", r.text("vocabulary"))

    def test_a_folder_that_is_not_there(self):
        r = doctor(os.path.join(self.folder, "nowhere"), expect=1)
        self.assertEqual(r.failed(), ["model"])
        self.assertIn("is no folder", r.text("model"))


class WrongFlags(unittest.TestCase):
    def test_a_port_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            r = doctor(MODEL, *SMALL, "--port", str(port), expect=1)
            self.assertEqual(r.failed(), ["server"])
            self.assertIn(f"port {port}", r.text("server"))
            self.assertIn("in use", r.text("server"))
            self.assertIn("--port", r.of("server")[0]["advice"])

    def test_a_port_that_a_server_of_ours_holds_and_its_admin_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "admin.sock")
            server = Server(*SMALL, "--admin-socket", path)
            self.addCleanup(server.stop)
            r = doctor(MODEL, *SMALL, "--port", str(server.port), expect=1)
            self.assertEqual(r.failed(), ["server"])
            r = doctor(MODEL, *SMALL, "--admin-socket", path, expect=1)
            self.assertIn("another process listens there", r.text("server"))
            self.assertTrue(os.path.exists(path), "the server's own is left alone")
            self.assertEqual(server.get("/health")[0], 200)

    def test_an_unknown_flag_and_a_value_out_of_range(self):
        for args, word in ((("--frobnicate",), "--frobnicate"), (("--port", "70000"), "70000")):
            r = Report(MODEL, *args, expect=1)
            self.assertEqual(r.failed(), ["configuration"])
            self.assertIn(word, r.text("configuration"))
            self.assertEqual(r.verdict("processor"), "ok")

    def test_a_key_file_that_is_not_there(self):
        r = doctor(MODEL, *SMALL, "--api-key-file", "/nowhere/keys", expect=1)
        self.assertEqual(r.failed(), ["server"])
        self.assertIn("--api-key-file /nowhere/keys", r.text("server"))

    def test_more_memory_than_there_is(self):
        r = doctor(MODEL, "--device", "cpu", "--kv-cache-memory-bytes", "100000G", expect=1)
        self.assertEqual(r.failed(), ["memory plan"])
        self.assertIn("lower --kv-cache-memory-bytes", r.text("memory plan"))
        self.assertIsNone(r.plan)

    def test_a_context_beyond_the_models(self):
        r = doctor(MODEL, "--device", "cpu", "--max-model-len", "100000", expect=1)
        self.assertEqual(r.failed()[0], "context")
        self.assertIn("--max-model-len: 100000", r.text("context"))


class Gpu(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.binary = shutil.copy(BINARY, self.folder)  # it looks for the library beside itself

    def test_no_library(self):
        r = doctor(MODEL, *SMALL, "--device", "cuda", binary=self.binary, expect=1)
        self.assertEqual(r.failed(), ["cuda"])
        self.assertIn("libpagoda_cuda.so is neither in " + self.folder, r.text("cuda"))
        self.assertIsNone(r.plan)
        r = doctor(MODEL, *SMALL, "--device", "auto", binary=self.binary, expect=0)
        self.assertEqual(r.verdict("cuda"), "note")
        self.assertTrue(r.plan["device"].startswith("cpu"), r.plan)

    def test_a_library_that_is_none(self):
        with open(os.path.join(self.folder, "libpagoda_cuda.so"), "w") as f:
            f.write("not ELF")
        r = doctor(MODEL, *SMALL, "--device", "cuda", binary=self.binary, expect=1)
        self.assertEqual(r.failed(), ["cuda"])
        self.assertIn("cannot load the CUDA backend", r.text("cuda"))

    @unittest.skipUnless(os.path.exists(FAKE), "the fake CUDA library was not built")
    def test_a_gpu_and_its_plan(self):
        shutil.copy(FAKE, self.folder)
        for device in ("cuda", "auto"):
            r = doctor(MODEL, *SMALL, "--device", device, binary=self.binary, expect=0)
            self.assertEqual(r.verdict("cuda"), "ok")
            self.assertIn("cuda made of paper, 1.00 GiB free of 1.00 GiB", r.text("cuda"))
            self.assertEqual(r.plan["device"], "cuda made of paper")
            self.assertEqual(r.plan["kv_block_tokens"], 64)
        r = doctor(MODEL, *SMALL, "--device", "cpu", binary=self.binary, expect=0)
        self.assertIn("(not asked for)", r.text("cuda"))
        self.assertTrue(r.plan["device"].startswith("cpu"), r.plan)


if __name__ == "__main__":
    unittest.main()
