#!/usr/bin/env python3
"""Opens a report in headless Chromium, as a phone, a desk and paper show it, and fails on what a reader would stumble over.

    target/release/bridle-bench table results/records --format html > report.html
    python tests/report_browser.py report.html [--shots FOLDER]

Fails with 1 if the page writes to the console or is wider than its window, if two texts of a plot overlap or one
leaves it, or if pressing a heading does not sort its table. Without Chromium nothing is checked, and it says so.
"""

import argparse
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# widths in CSS pixels
WINDOWS = {"phone": 375, "desk": 1280}

MEASURE = """(() => {
  const faults = [];
  const shown = (node) => (node.textContent || "").trim().slice(0, 60);
  const width = document.documentElement.scrollWidth;
  if (width > window.innerWidth) {
    faults.push(`the page is ${width} pixels wide in a window of ${window.innerWidth}`);
  }
  for (const plot of document.querySelectorAll("svg")) {
    const frame = plot.getBoundingClientRect();
    const texts = [...plot.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()]);
    texts.forEach(([text, box], i) => {
      if (box.left < frame.left - 2 || box.right > frame.right + 2) faults.push(`leaves its plot: ${shown(text)}`);
      for (const [other, against] of texts.slice(i + 1)) {
        const across = Math.min(box.right, against.right) - Math.max(box.left, against.left);
        const down = Math.min(box.bottom, against.bottom) - Math.max(box.top, against.top);
        // boxes hold the room above and below letters
        if (across > 0.5 && down > 0.3 * Math.min(box.height, against.height)) {
          faults.push(`overlap: ${shown(text)} | ${shown(other)}`);
        }
      }
    });
  }
  return faults;
})()"""

SORT = """(() => {
  const faults = [];
  for (const table of document.querySelectorAll("table")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button").click();
      const cells = [...table.tBodies[0].rows].map((row) => row.cells[column]);
      const numbers = cells.filter((cell) => "sort" in cell.dataset).map((cell) => Number(cell.dataset.sort));
      const rises = numbers.every((number, i) => i === 0 || numbers[i - 1] <= number);
      if (!rises || head.getAttribute("aria-sort") !== "ascending") faults.push(`not sorted: ${head.textContent}`);
    });
  }
  return faults;
})()"""


class Browser:
    """Chromium behind its pipe of JSON messages, each ended by a zero byte."""

    def __init__(self, program, profile):
        to_browser, self.writer = os.pipe()
        self.reader, from_browser = os.pipe()
        os.set_inheritable(to_browser, True)
        os.set_inheritable(from_browser, True)

        def pipes():
            # Chromium reads from 3 and writes to 4; both ends may have these numbers already
            read, write = os.dup2(to_browser, 20), os.dup2(from_browser, 21)
            os.dup2(read, 3)
            os.dup2(write, 4)

        options = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--disable-gpu"]
        options += ["--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars"]
        # its sandbox refuses to start as root
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [program, *options], preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.last, self.events = b"", 0, []

    def message(self):
        while b"\0" not in self.rest:
            more = os.read(self.reader, 1 << 20)
            if not more:
                sys.exit("the browser ended early")
            self.rest += more
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, session=None, **values):
        self.last += 1
        message = {"id": self.last, "method": method, "params": values}
        if session:
            message["sessionId"] = session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            found = self.message()
            if found.get("id") == self.last:
                if "error" in found:
                    sys.exit(f"{method}: {found['error']['message']}")
                return found["result"]
            self.events.append(found)

    def wait_for(self, name):
        for event in self.events:
            if event.get("method") == name:
                return
        while True:
            event = self.message()
            self.events.append(event)
            if event.get("method") == name:
                return

    def console(self):
        """What the page wrote to the console since the last call, with errors and refused scripts."""
        names = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        found = [json.dumps(event["params"])[:300] for event in self.events if event.get("method") in names]
        self.events = []
        return found


def checked(browser, page, name, width, shots):
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(method, **values):
        return browser.call(method, session, **values)

    for domain in ("Page", "Runtime", "Log"):
        call(f"{domain}.enable")
    call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=name == "phone")
    if name == "paper":
        call("Emulation.setEmulatedMedia", media="print")
    call("Page.navigate", url=page.resolve().as_uri())
    browser.wait_for("Page.loadEventFired")

    def faults(script):
        found = call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value", [f"the measurement failed: {found.get('exceptionDetails')}"])

    found = faults(MEASURE)
    if shots:
        # no more than a browser can draw at once
        height = min(16000, faults("[document.documentElement.scrollHeight]")[0])
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        (shots / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
    if name == "desk":
        found += faults(SORT)
    found += [f"console: {line}" for line in browser.console()]
    browser.call("Target.closeTarget", targetId=target)
    browser.events = []
    return [f"{name}: {fault}" for fault in found]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path, help="folder for screenshots")
    options = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        print("no Chromium here: the report was NOT checked in a browser")
        return
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    wrong = []
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, profile)
        try:
            for name, width in [*WINDOWS.items(), ("paper", 700)]:
                wrong += checked(browser, options.page, name, width, options.shots)
        finally:
            browser.process.terminate()
            browser.process.wait()
    print(f"{options.page}: {len(wrong)} faults on phone, desk and paper")
    sys.exit("\n".join(wrong[:60]) if wrong else 0)


if __name__ == "__main__":
    main()
