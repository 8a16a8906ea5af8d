// Goal: a server does what it was told: by option, else by variable, else by default; what cannot be is refused by name.
// Method: each setting is read from both sources with a table of what it takes and what it refuses.
import assert from "node:assert/strict";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { ConfigurationError, dataDirectory, readConfiguration, type Configuration } from "./configuration.ts";

interface Setting {
  readonly key: keyof Configuration;
  readonly option: string;
  readonly variable: string;
  readonly fallback: unknown;
  /** As it is said, and what comes of it. */
  readonly takes: readonly (readonly [string, unknown])[];
  readonly refuses: readonly string[];
}

const SETTINGS: readonly Setting[] = [
  {
    ...{ key: "host", option: "host", variable: "HORNERO_HOST", fallback: "127.0.0.1" },
    takes: [["0.0.0.0", "0.0.0.0"]],
    refuses: [],
  },
  {
    ...{ key: "port", option: "port", variable: "HORNERO_PORT", fallback: 4566 },
    takes: [
      ["0", 0],
      ["65535", 65_535],
    ],
    refuses: ["-1", "65536", "80.5", "http", "0x1g"],
  },
  {
    ...{ key: "auth", option: "auth", variable: "HORNERO_AUTH", fallback: "sigv4" },
    takes: [["none", "none"]],
    refuses: ["None", "off"],
  },
  {
    ...{ key: "driver", option: "driver", variable: "HORNERO_DRIVER", fallback: "auto" },
    takes: [
      ["bubblewrap", "bubblewrap"],
      ["process", "process"],
    ],
    refuses: ["docker"],
  },
  {
    ...{ key: "region", option: "region", variable: "HORNERO_REGION", fallback: "us-east-1" },
    takes: [
      ["eu-central-1", "eu-central-1"],
      ["us-gov-west-1", "us-gov-west-1"],
    ],
    refuses: ["here", "eu-central", "EU-CENTRAL-1", "eu-central-1\n"],
  },
  {
    ...{ key: "accountId", option: "accountId", variable: "HORNERO_ACCOUNT_ID", fallback: "000000000000" },
    takes: [["123456789012", "123456789012"]],
    refuses: ["1", "1234567890123", "12345678901a"],
  },
  {
    ...{ key: "accountConcurrency", option: "concurrency", variable: "HORNERO_CONCURRENCY", fallback: 1000 },
    takes: [
      ["1", 1],
      ["1000000", 1_000_000],
    ],
    refuses: ["0", "1000001", "1e", "many"],
  },
  {
    ...{ key: "requestRate", option: "requestRate", variable: "HORNERO_REQUEST_RATE", fallback: 10 },
    takes: [["1", 1]],
    refuses: ["0", "1000001", "ten"],
  },
  {
    ...{ key: "scalingRate", option: "scalingRate", variable: "HORNERO_SCALING_RATE", fallback: 1000 },
    takes: [["1", 1]],
    refuses: ["0", "1000001", "1k"],
  },
  {
    ...{ key: "keepAlive", option: "keepAlive", variable: "HORNERO_KEEP_ALIVE" },
    fallback: { adapts: true, keepAliveMs: 600_000 },
    takes: [
      ["5", { adapts: false, keepAliveMs: 5000 }],
      ["auto:60", { adapts: true, keepAliveMs: 60_000 }],
    ],
    refuses: ["0", "86401", "5s", "auto:", "auto:0", "automatic", ":5"],
  },
  {
    ...{ key: "poolSize", option: "pool", variable: "HORNERO_POOL", fallback: 2 },
    takes: [["0", 0]],
    refuses: ["-1", "1001"],
  },
  {
    ...{
      key: "asyncEventsMax",
      option: "asyncEvents",
      variable: "HORNERO_ASYNC_EVENTS",
      fallback: 1_000_000,
    },
    takes: [["1", 1]],
    refuses: ["0", "1000000001", "1k"],
  },
  {
    ...{
      key: "asyncRetryDelayMs",
      option: "asyncRetryDelay",
      variable: "HORNERO_ASYNC_RETRY_DELAY",
      fallback: 60_000,
    },
    takes: [["1", 1000]],
    refuses: ["0", "901", "1s"],
  },
  {
    ...{ key: "busyPollMs", option: "busyPoll", variable: "HORNERO_BUSY_POLL", fallback: 0.2 },
    takes: [
      ["0", 0],
      ["1000", 1],
    ],
    refuses: ["-1", "1001", "0.5"],
  },
  {
    ...{ key: "drainMs", option: "drain", variable: "HORNERO_DRAIN", fallback: 30_000 },
    takes: [
      ["0", 0],
      ["900", 900_000],
    ],
    refuses: ["901", "1m"],
  },
  {
    ...{ key: "logLevel", option: "logLevel", variable: "HORNERO_LOG_LEVEL", fallback: "info" },
    takes: [["silent", "silent"]],
    refuses: ["loud"],
  },
  {
    ...{ key: "logFormat", option: "logFormat", variable: "HORNERO_LOG_FORMAT", fallback: "pretty" },
    takes: [["json", "json"]],
    refuses: ["xml"],
  },
];

const dashed = (option: string) => option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

describe("readConfiguration", () => {
  for (const { key, option, variable, fallback, takes, refuses } of SETTINGS) {
    it(`${key} is ${JSON.stringify(fallback)} unless said; an empty variable says nothing`, () => {
      assert.deepEqual(readConfiguration({}, {})[key], fallback);
      assert.deepEqual(readConfiguration({}, { [variable]: "" })[key], fallback);
    });

    for (const [said, meant] of takes)
      it(`${key} takes ${said} from --${dashed(option)} and from ${variable}, and changes nothing else`, () => {
        const changed = { ...readConfiguration({}, {}), [key]: meant };
        assert.deepEqual(readConfiguration({ [option]: said }, {}), changed);
        assert.deepEqual(readConfiguration({}, { [variable]: said }), changed);
      });

    for (const said of refuses)
      it(`${key} refuses ${JSON.stringify(said)}, naming the option, the variable and the value`, () => {
        const refusal = (error: unknown) => {
          assert.ok(error instanceof ConfigurationError);
          for (const part of [`--${dashed(option)} (${variable})`, `'${said}'`])
            assert.ok(error.message.includes(part), `${error.message} names ${part}`);
          return true;
        };
        assert.throws(() => readConfiguration({ [option]: said }, {}), refusal);
        assert.throws(() => readConfiguration({}, { [variable]: said }), refusal);
      });
  }

  it("prefers the option to the variable, also when the variable could not be used", () => {
    assert.equal(readConfiguration({ port: "1" }, { HORNERO_PORT: "2" }).port, 1);
    assert.equal(readConfiguration({ port: "1" }, { HORNERO_PORT: "?" }).port, 1);
  });

  it("deploys the example only when told to", () => {
    assert.equal(readConfiguration({}, {}).example, false);
    assert.equal(readConfiguration({ example: true }, {}).example, true);
  });

  it("keeps interpreters in the data folder unless told where", () => {
    const data = { HORNERO_DATA: "/data" };
    assert.equal(readConfiguration({}, data).runtimesDirectory, "/data/runtimes");
    assert.equal(
      readConfiguration({}, { ...data, HORNERO_RUNTIMES: "/shared" }).runtimesDirectory,
      "/shared",
    );
    assert.equal(readConfiguration({ runtimes: "here" }, data).runtimesDirectory, resolve("here"));
  });
});

describe("dataDirectory", () => {
  it("is --data, else HORNERO_DATA, made absolute", () => {
    assert.equal(dataDirectory({ data: "mine" }, { HORNERO_DATA: "/theirs" }), resolve("mine"));
    assert.equal(dataDirectory({}, { HORNERO_DATA: "theirs" }), resolve("theirs"));
  });

  it("is the machine's for root and the user's own for others, by XDG_DATA_HOME when that is absolute", (t) => {
    const posix = process as { getuid: () => number };
    t.mock.method(posix, "getuid", () => 0);
    assert.equal(dataDirectory({}, { HORNERO_DATA: "" }), "/var/lib/hornero");
    t.mock.method(posix, "getuid", () => 1000);
    const home = join(homedir(), ".local", "share", "hornero");
    assert.equal(dataDirectory({}, {}), home);
    assert.equal(dataDirectory({}, { XDG_DATA_HOME: "relative" }), home);
    assert.equal(dataDirectory({}, { XDG_DATA_HOME: "/share" }), "/share/hornero");
  });
});
