"""Cancelling by id over HTTP, the prompt as text, and what the server says of itself."""

import json
import threading

import openai
from openai import OpenAI

from harness import ServerTest

HELLO = [{"role": "user", "content": "Say hello."}]
LONG = {"model": "tiny", "messages": HELLO, "ignore_eos": True, "max_tokens": 2000}


class Cancel(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--api-key", "one", "two")

    def post(self, path, key, body=b"", headers=None):
        headers = {"authorization": f"Bearer {key}", **(headers or {})}
        status, _, data = self.server.request("POST", path, body, headers)
        return status, json.loads(data)

    def running(self):
        self.server.wait_metric("vllm:num_requests_running", 1)

    def test_only_the_own_requests_end(self):
        replies = []
        ask = threading.Thread(target=lambda: replies.append(
            self.post("/v1/chat/completions", "one", LONG, {"x-request-id": "job-1"})))
        ask.start()
        self.running()
        self.assertEqual(self.post("/v1/requests/job-1/cancel", "two")[0], 404)
        self.assertEqual(self.post("/v1/requests/job-2/cancel", "one")[0], 404)
        status, reply = self.post("/v1/requests/job-1/cancel", "one")
        self.assertEqual((status, reply["cancelled"]), (200, True))
        ask.join(20)
        status, reply = replies[0]
        self.assertEqual((status, reply["error"]["code"]), (499, "request_cancelled"))
        self.server.wait_metric("vllm:num_requests_running", 0)

    def test_a_response_by_the_client(self):
        with OpenAI(base_url=self.server.url + "/v1", api_key="one", max_retries=0) as client:
            kinds, ident = [], None
            stream = client.responses.create(
                model="tiny", input="Say hello.", stream=True, extra_body={"ignore_eos": True})
            for event in stream:
                kinds.append(event.type)
                if ident is None:
                    ident = event.response.id
                    self.assertEqual(client.responses.cancel(ident).status, "cancelled")
            self.assertEqual(kinds[-1], "response.failed")
            self.assertEqual(client.responses.retrieve(ident).status, "cancelled")
            with self.assertRaises(openai.NotFoundError):
                client.responses.cancel("resp_none")

    def test_the_prompt_as_text(self):
        status, reply = self.post("/apply-template", "one", {"messages": HELLO})
        self.assertEqual(status, 200)
        self.assertIn("Say hello.", reply["prompt"])
        tokens = self.post("/tokenize", "one", {"messages": HELLO})[1]["tokens"]
        again = self.post("/tokenize", "one", {
            "prompt": reply["prompt"], "add_special_tokens": False})[1]["tokens"]
        self.assertEqual(tokens, again)

    def test_server_info(self):
        self.assertEqual(self.server.request("GET", "/server_info")[0], 401)
        _, _, data = self.server.request("GET", "/server_info", None,
                                         {"authorization": "Bearer one"})
        info = json.loads(data)
        self.assertEqual((info["state"], info["model"]["names"]), ("ready", ["tiny"]))
        self.assertIn("temperature", info["default_sampling"])
        self.assertGreater(info["engine"]["kv_blocks_total"], 0)
