"use strict";

const $ = (id) => document.getElementById(id);
const canvas = $("picture");
const context = canvas.getContext("2d", { alpha: false });
const cut = $("cut");

// After, and before below it: one picture, so that both sides are of the same frame.
let picture = null;
let size = null;

function draw() {
    const share = Number(cut.value) / 100;
    $("stage").style.setProperty("--cut", `${100 * share}%`);
    if (!picture || !size) return;
    const { width, height } = size;
    const lower = picture.height - height;
    const column = Math.round(width * share);
    if (column < width) context.drawImage(picture, column, 0, width - column, height, column, 0, width - column, height);
    if (column > 0) context.drawImage(picture, 0, lower, column, height, 0, 0, column, height);
}

cut.addEventListener("input", draw);
cut.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    cut.value = Number(cut.value) + step;
    draw();
});

$("full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else $("stage").requestFullscreen();
});
$("full").hidden = !document.fullscreenEnabled;

function say(text, live = false) {
    $("state").textContent = text;
    $("state").classList.toggle("live", live);
}

const pause = (time) => new Promise((done) => setTimeout(done, time));

// Pictures come faster than some machines decode them: then the newest is decoded next.
let decoding = false;
let next = null;

async function show(jpeg) {
    next = jpeg;
    if (decoding) return;
    decoding = true;
    while (next) {
        const newest = next;
        next = null;
        try {
            const decoded = await createImageBitmap(new Blob([newest], { type: "image/jpeg" }));
            picture?.close();
            picture = decoded;
            draw();
            document.documentElement.dataset.pictures = Number(document.documentElement.dataset.pictures || 0) + 1;
            say("live", true);
        } catch (error) {
            console.warn(error);
        }
    }
    decoding = false;
}

// Takes a stream of pictures apart: each has a few lines with its length, and an empty one, before it.
class Parts {
    bytes = new Uint8Array(1 << 20);
    length = 0;

    push(more) {
        if (this.length + more.length > this.bytes.length) {
            const larger = new Uint8Array(2 * (this.length + more.length));
            larger.set(this.bytes.subarray(0, this.length));
            this.bytes = larger;
        }
        this.bytes.set(more, this.length);
        this.length += more.length;
    }

    next() {
        const end = this.end();
        if (end < 0) return null;
        const lines = new TextDecoder().decode(this.bytes.subarray(0, end));
        const length = Number(/Content-Length: (\d+)/.exec(lines)?.[1]);
        if (!(length >= 0)) throw new Error("a picture without a length");
        if (this.length < end + length) return null;
        const jpeg = this.bytes.slice(end, end + length);
        this.bytes.copyWithin(0, end + length, this.length);
        this.length -= end + length;
        return jpeg;
    }

    end() {
        for (let i = 0; i + 4 <= Math.min(this.length, 1024); i++) {
            // After "\r\n--bifocal\r\n" come the lines.
            if (i > 2 && this.bytes[i] === 13 && this.bytes[i + 1] === 10 && this.bytes[i + 2] === 13 && this.bytes[i + 3] === 10) {
                return i + 4;
            }
        }
        return -1;
    }
}

async function watch() {
    const answer = await fetch("pictures", { cache: "no-store" });
    if (!answer.ok) return (await answer.text()).trim();
    const reader = answer.body.getReader();
    const parts = new Parts();
    say("waiting for a picture");
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return "ended";
        parts.push(value);
        let jpeg;
        while ((jpeg = parts.next())) show(jpeg);
    }
}

async function watchAlways() {
    for (;;) {
        let reason = "nobody answers";
        try {
            reason = await watch();
        } catch (error) {
            console.warn(error);
        }
        say(`${reason}; trying again`);
        await pause(2000);
    }
}

const number = (value, digits, unit) => (value === null || value === undefined ? "–" : value.toFixed(digits) + unit);

function tell(id, text, shown = true) {
    $(id).textContent = text;
    $(id).parentElement.hidden = !shown;
}

function report(stats) {
    if (!size || size.width !== stats.width || size.height !== stats.height) {
        size = { width: stats.width, height: stats.height };
        canvas.width = size.width;
        canvas.height = size.height;
        $("stage").style.setProperty("--shape", size.width / size.height);
        draw();
    }
    tell("source", `${stats.source.width}×${stats.source.height}`);
    tell("size", `${stats.width}×${stats.height}`);
    tell("viewers", `${stats.viewers} of ${stats.places}`);
    const run = stats.run;
    if (!run) return;
    const shown = run.shown > 0;
    $("model").textContent = run.model;
    tell("fps", number(run.fps, 1, " fps"));
    tell("latency", shown ? number(run.latency_ms.p50, 0, " ms") : "–");
    tell("slowest", shown ? number(run.latency_ms.p99, 0, " ms") : "–");
    tell("temperature", number(run.temperature_c, 0, " °C"));
    $("temperature").classList.toggle("hot", run.temperature_c >= 80);
    tell("dropped", String(run.dropped_total));
    tell("effort", number(run.effort, 0, ""), run.effort !== undefined);
    tell("work", `${(100 * run.macs_share).toFixed(0)} %`, run.windows !== undefined);
}

async function reportAlways() {
    for (;;) {
        try {
            const answer = await fetch("stats.json", { cache: "no-store" });
            if (answer.ok) report(await answer.json());
        } catch (error) {
            console.warn(error);
        }
        await pause(1000);
    }
}

draw();
watchAlways();
reportAlways();
