// Goal: the examples do what their pages say, with real input, on a real server.
// Method: deploy each with `hornero deploy`, invoke it through the AWS SDK, and check its answer against what the test itself
//   works out: the JPEG's size from its header, the table's numbers from the CSV, the shell from its version.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { hornero, ROOT, startProgram } from "../support/cli.ts";
import { call, runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const EXAMPLES = join(ROOT, "examples");
const EXAMPLE_BYTES_MAX = 300 * 1024;

let server: TestServer;
let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "hornero-examples-"));
  server = await startTestServer({ args: sharedRuntimes });
});
after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

async function deploy(path: string, ...options: string[]): Promise<void> {
  const deployed = await hornero(["deploy", path, ...options], { data: server.dataDirectory });
  assert.equal(deployed.code, 0, deployed.stderr);
}

async function invoke<T>(name: string, event: unknown): Promise<T> {
  const called = await call(server.lambda(), name, event);
  assert.equal(called.functionError, undefined, called.text);
  return called.body as T;
}

/** Width and height as the frame header (SOF) of a JPEG has them. */
function jpegSize(image: Buffer): { width: number; height: number } {
  assert.equal(image.readUInt16BE(0), 0xffd8, "start of image");
  assert.equal(image.readUInt16BE(image.length - 2), 0xffd9, "end of image");
  for (let at = 2; at < image.length; at += 2 + image.readUInt16BE(at + 2)) {
    const marker = image.readUInt16BE(at);
    const isFrame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (isFrame) return { height: image.readUInt16BE(at + 5), width: image.readUInt16BE(at + 7) };
  }
  throw new Error("no frame header");
}

interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Four bytes a pixel. */
  readonly data: Uint8Array;
}

/** The mean of each colour in each quarter of the picture. */
function quarters({ width, height, data }: Pixels): number[] {
  const sums = Array.from({ length: 12 }, () => 0);
  const counts = Array.from({ length: 12 }, () => 0);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1)
      for (let colour = 0; colour < 3; colour += 1) {
        const at = (Math.floor((2 * y) / height) * 2 + Math.floor((2 * x) / width)) * 3 + colour;
        sums[at] = (sums[at] ?? 0) + (data[(y * width + x) * 4 + colour] ?? 0);
        counts[at] = (counts[at] ?? 0) + 1;
      }
  return sums.map((sum, at) => sum / (counts[at] ?? 0));
}

describe("examples/resize", () => {
  interface Event {
    readonly image: string;
    readonly width: number;
  }
  interface Answer extends Event {
    readonly height: number;
  }
  const event = JSON.parse(readFileSync(join(EXAMPLES, "resize", "photo.json"), "utf8")) as Event;

  let copy: string;
  before(async () => {
    copy = join(folder, "resize");
    cpSync(join(EXAMPLES, "resize"), copy, {
      recursive: true,
      filter: (path) => !path.includes("node_modules"),
    });
    const installed = await startProgram("npm", ["ci", "--ignore-scripts", "--prefer-offline"], { cwd: copy })
      .ended;
    assert.equal(installed.code, 0, installed.stderr);
    await deploy(copy, "--memory", "512", "--timeout", "10");
  });

  it("makes the photograph narrower and keeps its proportions", async () => {
    const old = jpegSize(Buffer.from(event.image, "base64"));
    const answer = await invoke<Answer>("resize", event);
    const small = Buffer.from(answer.image, "base64");
    assert.equal(event.width, 160);
    assert.deepEqual(jpegSize(small), { width: 160, height: Math.round((old.height * 160) / old.width) });
    assert.deepEqual({ width: answer.width, height: answer.height }, jpegSize(small));
  });

  it("shows the same picture: each quarter has its mean colour", async () => {
    const jpeg = createRequire(join(copy, "package.json"))("jpeg-js") as {
      decode(image: Buffer, options: { useTArray: true }): Pixels;
    };
    const decode = (image: string) => jpeg.decode(Buffer.from(image, "base64"), { useTArray: true });
    const answer = await invoke<Answer>("resize", { ...event, width: 128 });
    const [old, small] = [quarters(decode(event.image)), quarters(decode(answer.image))];
    for (const [at, mean] of old.entries())
      assert.ok(
        Math.abs(mean - (small[at] ?? Number.NaN)) < 2,
        `${old.join(" ")} against ${small.join(" ")}`,
      );
  });

  it("refuses to make it wider", async () => {
    const called = await call(server.lambda(), "resize", { ...event, width: 5000 });
    assert.equal(called.functionError, "Unhandled");
    assert.deepEqual((called.body as { errorType: string }).errorType, "RangeError");
  });
});

describe("examples/summarise", { skip: await withoutPython() }, () => {
  interface Group {
    readonly days: number;
    readonly lowest: number;
    readonly mean: number;
    readonly highest: number;
  }
  interface Answer {
    readonly days: number;
    readonly groups: Readonly<Record<string, Group>>;
  }
  const [head = "", ...lines] = readFileSync(join(EXAMPLES, "summarise", "seattle-weather.csv"), "utf8")
    .trim()
    .split("\n");
  const columns = head.trim().split(",");
  const rows = lines.map((line) => line.trim().split(","));

  function expected(group: (row: readonly string[]) => string, measure: string): Map<string, number[]> {
    const column = columns.indexOf(measure);
    const days = Map.groupBy(rows, group);
    return new Map([...days].map(([name, group]) => [name, group.map((row) => Number(row[column]))]));
  }

  function check(answer: Answer, groups: Map<string, number[]>): void {
    assert.equal(answer.days, rows.length);
    assert.deepEqual(Object.keys(answer.groups).sort(), [...groups.keys()].sort());
    for (const [name, values] of groups) {
      const { days, lowest, mean, highest } = answer.groups[name] as Group;
      assert.deepEqual(
        { days, lowest, highest },
        { days: values.length, lowest: Math.min(...values), highest: Math.max(...values) },
        name,
      );
      const sum = values.reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(mean - sum / values.length) <= 0.005_000_1, `${name}: ${mean}`);
    }
  }

  before(() => deploy(join(EXAMPLES, "summarise")));

  it("summarises the precipitation of each year, as its event.json asks", async () => {
    const event: unknown = JSON.parse(readFileSync(join(EXAMPLES, "summarise", "event.json"), "utf8"));
    const answer = await invoke<Answer>("summarise", event);
    check(
      answer,
      expected(([date = ""]) => date.slice(0, 4), "precipitation"),
    );
  });

  it("summarises temperatures by kind of weather", async () => {
    const answer = await invoke<Answer>("summarise", { by: "weather", measure: "temp_max" });
    check(
      answer,
      expected((row) => row.at(-1) ?? "", "temp_max"),
    );
  });

  it("says what it takes when asked for something else", async () => {
    const called = await call(server.lambda(), "summarise", { by: "colour" });
    assert.match((called.body as { errorMessage: string }).errorMessage, /one of year, month, weather/);
  });
});

describe("examples/uptime", () => {
  it("runs bash as a custom runtime, and counts the invocations of its environment", async () => {
    await deploy(join(EXAMPLES, "uptime"));
    const answers = [];
    for (let i = 0; i < 2; i += 1)
      answers.push(await invoke<{ bash: string; invocations: number; hostUptimeS: number }>("uptime", { i }));
    const shell = await startProgram("bash", ["-c", 'echo -n "$BASH_VERSION"']).ended;
    assert.deepEqual(
      answers.map(({ bash, invocations }) => ({ bash, invocations })),
      [1, 2].map((invocations) => ({ bash: shell.stdout, invocations })),
    );
    const hostUptimeS = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    assert.ok(answers.every((answer) => answer.hostUptimeS > 0 && answer.hostUptimeS <= hostUptimeS));
  });
});

describe("the examples' data", () => {
  for (const [path, source] of [
    ["resize/photo.json", "public domain"],
    ["summarise/seattle-weather.csv", "public-domain"],
  ] as const) {
    it(`${path} is small and its source is in NOTICE`, () => {
      assert.ok(statSync(join(EXAMPLES, path)).size < EXAMPLE_BYTES_MAX);
      const notice = readFileSync(join(ROOT, "NOTICE"), "utf8");
      const paragraph = notice.split("\n\n").find((text) => text.includes(`examples/${path}`));
      assert.match(paragraph ?? "", new RegExp(source));
    });
  }
});

async function withoutPython(): Promise<string | false> {
  const found = await runtimesAtHand("python");
  return found.length > 0 ? false : "this machine has no Python that Hornero supports";
}
