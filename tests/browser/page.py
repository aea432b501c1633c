"""Looks at the page as people do: page.py PROGRAM BROWSER FOLDER. Pictures of it go to FOLDER.

Chromium is driven by its DevTools protocol over a pipe, which needs nothing but Python."""

import base64
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = 60
TOKEN = "0123456789abcdef-of-tests"
SOURCE = "test://bars?width=480&height=270&fps=15"


class Failed(Exception):
    pass


def check(truth, what):
    if not truth:
        raise Failed(what)
    print(f"ok: {what}")


class Browser:
    """Commands go out and answers come in as JSON, each ended by a zero byte."""

    def __init__(self, program, profile):
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        options = ["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        script = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        arguments = ["sh", "-c", script, program, *options, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(arguments, pass_fds=(commands, answers), stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.number, self.rest, self.events = 0, b"", []

    def receive(self):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE)
            more = os.read(self.answers, 1 << 20) if ready else b""
            if not more:
                raise Failed("the browser says nothing")
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        data = json.dumps(command).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data) :]
        while True:
            message = self.receive()
            if message.get("id") != self.number:
                self.events.append(message)
            elif "error" in message:
                raise Failed(f"{method}: {message['error']}")
            else:
                return message["result"]

    def close(self):
        self.process.kill()
        self.process.wait()


class Tab:
    def __init__(self, browser, url, width, height, scale=1):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=scale > 1)
        self.call("Page.navigate", url=url)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def value(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Failed(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script, what):
        end = time.monotonic() + PATIENCE
        while not self.value(script):
            if time.monotonic() > end:
                raise Failed(f"{what}: the page says {self.value('document.body.innerText')!r}")
            time.sleep(0.05)
        print(f"ok: {what}")

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def press(self, share):
        """Clicks on the picture, so far from its left edge."""
        box = self.value("(() => { const b = cut.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()")
        x, y = box[0] + share * box[2], box[1] + box[3] / 3
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def key(self, name):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)


# The same picture with the slider at three places: what is left and right of it. No frame comes in between.
HALVES = """(() => {
    const was = cut.value;
    const sums = {};
    for (const place of [0, 50, 100]) {
        cut.value = place;
        draw();
        const middle = Math.round(size.width / 2);
        const sum = (x, width) => {
            let sum = 0;
            for (const v of context.getImageData(x, 0, width, size.height).data) sum = (sum * 31 + v) % 4294967291;
            return sum;
        };
        sums[place] = [sum(0, middle), sum(middle, size.width - middle)];
    }
    cut.value = was;
    draw();
    return sums;
})()"""
NUMBER = "Number(document.documentElement.dataset.pictures || 0)"


def start(program):
    sink = f"http://127.0.0.1:0/?token={TOKEN}&viewers=3"
    run = subprocess.Popen([program, "live", SOURCE, sink, "-v"], stderr=subprocess.PIPE, text=True)
    for line in run.stderr:
        found = re.search(r"the page is at (http://\S+)", line)
        if found:
            return run, found.group(1)
    raise Failed("the program ends before there is a page")


def look(browser, run, page, out):
    secret = f"{page}?token={TOKEN}"
    desk = Tab(browser, secret, 1280, 860)
    phone = Tab(browser, secret, 390, 780, 2)
    for tab, name in ((desk, "a desk"), (phone, "a phone")):
        tab.wait(f"{NUMBER} > 2 && document.getElementById('state').textContent === 'live'", f"pictures on {name}")
        tab.wait("document.getElementById('fps').textContent !== '–'", f"numbers on {name}")
    for tab in (desk, phone):
        before = tab.value(HALVES)
        number = tab.value(NUMBER)
        tab.wait(f"{NUMBER} > {number} + 1", "more pictures, with both looking")
        check(before != tab.value(HALVES), "the picture moves")
    desk.wait("document.getElementById('viewers').textContent === '2 of 3'", "two viewers are counted")

    sums = desk.value(HALVES)
    check(sums["0"][0] != sums["100"][0] and sums["0"][1] != sums["100"][1], "before and after differ")
    check(sums["50"] == [sums["100"][0], sums["0"][1]], "left of the slider is before, right of it after")
    for share in (0.25, 0.8):
        desk.press(share)
        check(abs(desk.value("Number(cut.value)") - 100 * share) < 0.5, f"a click moves the slider to {share:.0%}")
        line = desk.value("document.getElementById('line').getBoundingClientRect().x + 1")
        box = desk.value("(() => { const b = canvas.getBoundingClientRect(); return [b.x, b.width]; })()")
        check(abs(line - box[0] - share * box[1]) < 3, "the line is there")
    desk.value("cut.focus(); cut.value = 50; draw()")
    for key, place in (("ArrowRight", 52), ("ArrowLeft", 50), ("Home", 0), ("End", 100)):
        desk.key(key) if key.startswith("Arrow") else desk.value(f"cut.value = {place}; draw()")
        check(abs(desk.value("Number(cut.value)") - place) < 0.5, f"the slider at {place}, by {key}")
    desk.value("cut.value = 50; draw()")
    check(desk.value("canvas.width") == 960 and desk.value("canvas.height") == 540, "every pixel is there")
    fits = "[document.documentElement, ...document.querySelectorAll('dd, dt')].every((e) => e.scrollWidth <= e.clientWidth)"
    check(desk.value(fits) and phone.value(fits), "everything fits, on a phone too")
    desk.picture(out / "desk.png")
    phone.picture(out / "phone.png")

    run.send_signal(signal.SIGINT)
    check(run.wait(PATIENCE) == 0, "the program ends in good order")
    desk.wait("document.getElementById('state').textContent.includes('trying again')", "the page says so, and tries again")

    wanted = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    check(wanted and all(url.startswith((page, "data:")) for url in wanted), "the page asks nobody else")
    wrong = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    texts = [e["params"].get("entry", e["params"].get("exceptionDetails")) for e in wrong]
    # That nobody answers any more, and that pixels are read back, is this test's own doing.
    texts = [t for t in texts if "net::ERR_" not in json.dumps(t) and t.get("level") != "warning"]
    check(not texts, f"nothing is wrong in the page's own eyes {texts or ''}")


def main():
    program, name, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    run, page = start(program)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(name, profile)
        try:
            look(browser, run, page, out)
        finally:
            run.kill()
            browser.close()
    print(f"pictures of the page are in {out}")


try:
    main()
except Failed as failed:
    sys.exit(f"FAILED: {failed}")
