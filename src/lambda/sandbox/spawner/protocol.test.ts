// Goal: the spawner acts on nothing but what the protocol lists: every other message is refused before anything is done.
// Method: good messages with one field replaced by everything that it must not be, then random JSON; and a good message
// comes out as it went in, without the members that nobody asked for.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseRequest, parseStart, ProtocolError, requestNumber } from "./protocol.ts";

const START = {
  op: "start",
  instance: "0123abc",
  codeDirectory: "/data/code",
  runtimesDirectories: ["/data/runtimes", "/opt/runtimes"],
  storageDirectory: "/data/storage",
  endpointPort: 4566,
  separateAccounts: true,
};
const CREATE = {
  op: "create",
  id: "a1b2-3",
  root: { key: "python3.11-3.11.7", lang: "/lang", runtime: "/runtime" },
  command: ["/var/lang/bin/python3", "-S"],
  environment: { PATH: "/bin", EMPTY: "" },
  memoryMb: 128,
  ephemeralStorageMb: 512,
  background: true,
  code: { task: "/data/code/x", layers: ["/data/code/y"], artefacts: "/data/code/z" },
  link: true,
  zygote: true,
};
const { code, memoryMb, ephemeralStorageMb } = CREATE;
const COMMANDS: readonly Readonly<Record<string, unknown>>[] = [
  CREATE,
  { op: "specialise", id: "a", code, memoryMb, ephemeralStorageMb },
  { op: "signal", id: "a", signal: "SIGTERM" },
  ...["limit-cpu", "freeze", "thaw", "destroy"].map((op) => ({ op, id: "a" })),
  { op: "ping" },
];

const NOT_TEXTS = [undefined, null, 1, true, [], {}, "with\0zero"];
const NOT_PATHS = [...NOT_TEXTS, "", "relative", "./x", `/${"x".repeat(4095)}`];
const NOT_NUMBERS = [undefined, null, "128", Number.NaN, Infinity, 128.5, -1, 0, 2 ** 53, [128]];
const NOT_IDS = [...NOT_TEXTS, "", "A", "../x", "a/b", "a.b", "a b", "x".repeat(37), "a\n"];

/** Values that must not be in the place of each field. */
const BAD: readonly (readonly [field: string, values: readonly unknown[]])[] = [
  ["id", NOT_IDS],
  [
    "root",
    [undefined, null, [], "x", {}, { key: "../x" }, { key: "a/b" }, { key: ".." }, { key: "a", lang: "x" }],
  ],
  ["root", [{ key: "" }, { key: "x".repeat(65) }, { key: "a", runtime: 1 }, { key: "a", lang: null }]],
  ["command", [undefined, null, {}, [], [""], ["relative"], ["/a", 1], ["/a", "\0"], Array(1025).fill("/a")]],
  ["command", [["/a", "x".repeat(1024 * 1024)]]],
  [
    "environment",
    [undefined, null, [], "x", { "": "x" }, { "A=B": "x" }, { "A\0": "x" }, { A: 1 }, { A: "\0" }],
  ],
  ["environment", [{ A: "x".repeat(1024 * 1024) }]],
  ["memoryMb", [...NOT_NUMBERS, 127, 10_241]],
  ["ephemeralStorageMb", [...NOT_NUMBERS, 511, 10_241]],
  [
    "code",
    [
      null,
      "x",
      [],
      {},
      { task: "/x" },
      { task: "x", layers: [] },
      { task: "/x", layers: Array(6).fill("/l") },
    ],
  ],
  ["code", NOT_PATHS.map((path) => ({ task: "/x", layers: [path] }))],
  ["code", NOT_PATHS.slice(1).map((artefacts) => ({ task: "/x", layers: [], artefacts }))],
  ["signal", [undefined, "SIGSTOP", "SIGUSR1", 9, "KILL", ["SIGTERM"]]],
];

describe("requests", () => {
  it("come out as they went in, without what nobody asked for", () => {
    for (const command of COMMANDS) {
      const parsed = parseRequest({
        request: 7,
        command: { ...command, extra: "x", __proto__: null },
        more: 1,
      });
      assert.deepEqual(parsed, { request: 7, command });
    }
  });

  it("are refused when a field is not what it must be", () => {
    for (const command of COMMANDS) {
      for (const [field, values] of BAD) {
        if (!(field in command)) continue;
        for (const value of values) {
          const message = { request: 1, command: { ...command, [field]: value } };
          assert.throws(() => parseRequest(message), ProtocolError, `${String(command["op"])}.${field}`);
        }
      }
    }
  });

  it("are refused when they are none", () => {
    for (const op of [undefined, "start", "exec", "mount", "constructor", "__proto__", 1, ["create"]]) {
      assert.throws(() => parseRequest({ request: 1, command: { ...CREATE, op } }), ProtocolError);
    }
    for (const request of [undefined, "1", -1, 1.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => parseRequest({ request, command: { op: "ping" } }), ProtocolError);
    }
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.throws(() => parseRequest(value), ProtocolError);
        assert.throws(() => parseRequest({ request: 1, command: value }), ProtocolError);
        assert.throws(() => parseStart(value), ProtocolError);
      }),
    );
  });

  it("have a number to be refused by, or none", () => {
    assert.equal(requestNumber({ request: 5, command: "x" }), 5);
    for (const message of [null, undefined, 1, "x", [], {}, { request: "5" }])
      assert.equal(requestNumber(message), undefined);
  });
});

describe("START", () => {
  it("comes out as it went in", () => {
    assert.deepEqual(parseStart({ ...START, extra: 1 }), START);
    assert.equal(parseStart({ ...START, separateAccounts: "yes" }).separateAccounts, false);
  });

  it("is refused when a field is not what it must be", () => {
    const bad: Readonly<Record<string, readonly unknown[]>> = {
      op: [undefined, "create"],
      instance: [...NOT_TEXTS, "", "0123ABC", "0123abcd", "../0123", "0123ab;"],
      codeDirectory: NOT_PATHS,
      storageDirectory: NOT_PATHS,
      runtimesDirectories: [undefined, "x", {}, ["relative"], Array(65).fill("/x")],
      endpointPort: [...NOT_NUMBERS, 65_536],
    };
    for (const [field, values] of Object.entries(bad)) {
      for (const value of values)
        assert.throws(() => parseStart({ ...START, [field]: value }), ProtocolError);
    }
  });
});
