// Runs inside the sandbox under test: does what the suite asks over the fast link and tells what it saw.
// One JSON object a line, both ways: {id, op, …} is answered by {id, result} or {id, error}.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, readdirSync, statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { connect, createServer, Socket } from "node:net";

const kept = [];

const operations = {
  echo: ({ text }) => text,
  environment: () => ({ ...process.env }),
  read: ({ path }) => readFileSync(path, "utf8"),
  write: ({ path, text }) => writeFileSync(path, text),
  unlink: ({ path }) => unlinkSync(path),
  list: ({ path }) => readdirSync(path),
  fileSystemBytes: ({ path }) => {
    const { blocks, bsize } = statfsSync(path);
    return blocks * bsize;
  },
  /** Runs a command to its end. */
  run: ({ command }) => {
    const [file, ...args] = command;
    const { status, stdout, stderr } = spawnSync(file, args, { encoding: "utf8" });
    return { status, stdout, stderr };
  },
  /** Starts a command that writes where this process writes, and does not wait for it. */
  start: ({ command }) => {
    const [file, ...args] = command;
    spawn(file, args, { stdio: ["ignore", "inherit", "inherit"] });
  },
  /** Takes memory, really. */
  allocate: ({ bytes }) => {
    for (let taken = 0; taken < bytes; taken += 1 << 20) kept.push(Buffer.alloc(1 << 20, 1));
  },
  /** Keeps one CPU busy for a while; the share of it that was had. */
  spin: ({ durationMs }) => {
    const start = performance.now();
    const before = process.cpuUsage();
    while (performance.now() - start < durationMs);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / (performance.now() - start);
  },
  listen: ({ host, port }) =>
    new Promise((resolve, reject) => {
      const server = createServer((socket) => socket.end("hello")).on("error", reject);
      server.listen(port, host, () => resolve(server.address().port));
    }),
  connect: ({ host, port }) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port, timeout: 2000 });
      let text = "";
      socket.on("error", reject).on("data", (data) => (text += data));
      socket.on("timeout", () => reject(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
      socket.on("end", () => resolve(text)).on("close", () => socket.destroy());
    }),
};

const link = new Socket({ fd: 3 });
let pending = "";
link.setEncoding("utf8");
link.on("data", (chunk) => {
  const lines = (pending + chunk).split("\n");
  pending = lines.pop();
  for (const line of lines) void answer(JSON.parse(line));
});
link.on("end", () => process.exit(0));

async function answer({ id, op, ...args }) {
  let reply;
  try {
    reply = { id, result: await operations[op](args) };
  } catch (error) {
    reply = { id, error: error.code ?? String(error) };
  }
  link.write(`${JSON.stringify(reply)}\n`);
}
