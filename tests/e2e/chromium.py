"""A headless Chromium driven by its DevTools protocol over a pipe, with the standard library alone.

Chromium reads commands from descriptor 3 and writes answers and events to 4, each a JSON text ended
by a zero byte. One thread; events that come while an answer is awaited are kept for later.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find():
    """Path of a Chromium, or None. PAGODA_TEST_CHROMIUM names another one."""
    chosen = os.environ.get("PAGODA_TEST_CHROMIUM")
    return chosen or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium process with a profile of its own."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="pagoda-chromium-", ignore_cleanup_errors=True)
        command = [find(), "--headless=new", "--remote-debugging-pipe", "--disable-gpu",
                   "--no-first-run", "--disable-extensions", "--disable-component-update",
                   "--disable-background-networking", "--disable-dev-shm-usage",
                   "--no-proxy-server", "--hide-scrollbars",
                   "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # calls nobody else
                   f"--user-data-dir={self.profile.name}"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium refuses to run as root with it
        there_read, self.out = os.pipe()
        self.inp, there_write = os.pipe()
        # away from 3 and 4, which the child gets
        child = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (there_read, there_write)]
        quiet = os.open(os.devnull, os.O_WRONLY)
        self.pid = os.posix_spawn(
            command[0], command, os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, child[0], 3), (os.POSIX_SPAWN_DUP2, child[1], 4),
                          (os.POSIX_SPAWN_DUP2, quiet, 1), (os.POSIX_SPAWN_DUP2, quiet, 2)],
            setpgroup=0)
        for fd in (there_read, there_write, *child, quiet):
            os.close(fd)
        self.buffer = b""
        self.next_id = 0
        self.events = []

    def _read(self, deadline):
        """The next message."""
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.inp], [], [], left)[0]:
                raise TimeoutError("no answer from Chromium")
            part = os.read(self.inp, 1 << 20)
            if not part:
                raise ConnectionError("Chromium ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, params=None, session=None, seconds=30):
        """Run a command and return its result."""
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        deadline = time.monotonic() + seconds
        while True:
            answer = self._read(deadline)
            if "method" in answer:
                self.events.append(answer)
            elif answer.get("id") == self.next_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def page(self, **options):
        return Page(self, **options)

    def close(self):
        os.close(self.out)
        os.close(self.inp)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        self.profile.cleanup()


KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowRight": (39, ""),
        "ArrowLeft": (37, ""), "Home": (36, ""), "End": (35, ""), " ": (32, " ")}


class Page:
    """A tab in a profile of its own: no storage or cookie of another tab."""

    def __init__(self, browser, width=1280, height=800, dark=False, touch=False):
        self.browser = browser
        self.context = browser.send("Target.createBrowserContext")["browserContextId"]
        target = browser.send("Target.createTarget",
                              {"url": "about:blank", "browserContextId": self.context})["targetId"]
        self.session = browser.send("Target.attachToTarget",
                                    {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch})
        if touch:
            self.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        self.send("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        self.send("Emulation.setFocusEmulationEnabled", {"enabled": True})

    def send(self, method, params=None, seconds=30):
        return self.browser.send(method, params, self.session, seconds)

    def goto(self, url):
        self.send("Page.navigate", {"url": url})
        self.wait("document.readyState === 'complete'")

    def reload(self):
        self.evaluate("window.old = true")
        self.send("Page.reload")
        self.wait("!window.old && document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression; promises are awaited."""
        result = self.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True,
                                                "returnByValue": True, "userGesture": True})
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression, seconds=60):
        """Until the expression is true; returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.evaluate(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                text = self.evaluate("document.body.innerText")
                raise AssertionError(f"not within {seconds} s: {expression}; the page says:\n{text}")
            time.sleep(0.03)

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector):
        """A real mouse click in the middle of the element."""
        name = json.dumps(selector)
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({name}); e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect();"
            " return [r.left + r.width / 2, r.top + r.height / 2]; })()")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left",
                                                   "clickCount": 1})

    def fill(self, selector, text):
        """Put text into a field as typing would, replacing what is there."""
        self.evaluate(f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
                      " e.focus(); e.select(); })()")
        self.send("Input.insertText", {"text": text})

    def key(self, key, shift=False):
        code, text = KEYS[key]
        common = {"key": key, "code": key if key != " " else "Space", "modifiers": 8 if shift else 0,
                  "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", {"type": "keyDown" if text else "rawKeyDown", "text": text,
                                             **common})
        self.send("Input.dispatchKeyEvent", {"type": "keyUp", **common})

    def complaints(self):
        """Uncaught exceptions and console errors, refusals by the content policy among them."""
        out = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                out.append(json.dumps(params["exceptionDetails"])[:500])
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                out.append(params["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] == "error":
                out.append(json.dumps(params["args"])[:500])
        return out

    def requests(self, method=None):
        """The requests that the page made (url, method, postData, …), in order."""
        self.evaluate("0")  # takes in what Chromium has to tell
        made = [e["params"]["request"] for e in self.browser.events
                if e.get("sessionId") == self.session and e["method"] == "Network.requestWillBeSent"]
        return [r for r in made if method in (None, r["method"])]

    def screenshot(self, path):
        data = self.send("Page.captureScreenshot", {"format": "png"})["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def close(self):
        self.browser.send("Target.disposeBrowserContext", {"browserContextId": self.context})
