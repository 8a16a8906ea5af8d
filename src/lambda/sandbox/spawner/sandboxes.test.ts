// Goal: what a sandbox held is given back whatever fails on the way, and nothing is done to the processes of one that has ended.
// Method: no privileges and no walls: a fork server that gives birth to nothing, and surroundings that note what is asked of
// them. The pid is one that no process can have.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { beforeEach, suite, test } from "node:test";
import { setImmediate as immediate } from "node:timers/promises";
import type { Cgroup, CgroupTree } from "../cgroups.ts";
import { SandboxError } from "../sandbox.ts";
import { AnnouncedFolders } from "./folders.ts";
import type { CreateRequest } from "./protocol.ts";
import { RuntimeRoots } from "./roots.ts";
import { Sandboxes } from "./sandboxes.ts";
import type { TemporaryStorage } from "./storage.ts";
import type { ForkListener, Zygote } from "./zygote/zygote.ts";
import { Zygotes } from "./zygote/zygotes.ts";

const REQUEST: CreateRequest = {
  op: "create",
  id: "one",
  root: { key: "python" },
  command: ["/usr/bin/python3.13"],
  environment: {},
  memoryMb: 128,
  ephemeralStorageMb: 512,
  background: false,
  link: true,
  zygote: true,
};
/** Above what the kernel gives out: PID_MAX_LIMIT is 4,194,304. */
const NOBODY = 2 ** 30;
const WALL = { holds: true, detail: "" };
const endedError = (error: unknown) => error instanceof SandboxError && /has ended/.test(error.message);

suite("the sandboxes of a spawner", () => {
  let groups: Set<string>;
  let listeners: ForkListener[];
  let reclaimed: number[];
  let storage: TemporaryStorage;
  let sandboxes: Sandboxes;
  let exits: string[];

  beforeEach(() => {
    groups = new Set();
    listeners = [];
    reclaimed = [];
    exits = [];
    storage = {
      create: () => Promise.reject(new SandboxError("mkfs", "the disk is full")),
      prepare: () => Promise.resolve({ attach: () => undefined, close: () => undefined }),
      release: () => undefined,
      resize: (pid) => Promise.resolve(void pid()),
      reclaim: (index) => void reclaimed.push(index),
    };
    sandboxes = new Sandboxes({
      folders: new AnnouncedFolders([]),
      roots: {} as RuntimeRoots,
      cgroups: groupsIn(groups),
      network: {
        seatCount: 2,
        address: () => undefined,
        enter: (_, start) => start(),
        connect: () => undefined,
      },
      storage,
      zygotes: { take: () => Promise.resolve(zygote) } as unknown as Zygotes,
      stagingPath: "/nonexistent",
      seccompPath: undefined,
      separateAccounts: false,
      onExit: (id) => void exits.push(id),
    });
  });

  /** What it gives birth to has its walls at once, and ends when its listener is told. */
  const zygote = {
    fork: (_child: unknown, [, gate]: readonly number[], listener: ForkListener) => {
      listeners.push(listener);
      // As a runtime does: reads one byte from its gate, and closes it.
      spawn("head", ["-c", "1"], { stdio: [gate, "ignore", "ignore"] });
      listener.onBorn(NOBODY);
    },
  } as unknown as Zygote;

  async function create(id: string): Promise<ForkListener> {
    const { descriptors } = await sandboxes.create({ ...REQUEST, id });
    closeSync(descriptors.output);
    if (descriptors.link !== undefined) closeSync(descriptors.link);
    const listener = listeners.at(-1);
    assert(listener);
    return listener;
  }

  test("one whose file system cannot be taken back gives back all else", async () => {
    storage.reclaim = () => {
      throw new Error("the disk fails");
    };
    // More than there are seats: each seat is given back.
    for (const id of ["one", "two", "three"]) {
      (await create(id)).onExit(0);
      await assert.rejects(sandboxes.destroy(id), /the disk fails/);
      await sandboxes.destroy(id);
      assert.deepEqual([...groups], []);
    }
  });

  test("a file system is taken back when nothing that could use it is left", async () => {
    const listener = await create("one");
    storage.reclaim = (index) => {
      assert.deepEqual([...groups], []);
      reclaimed.push(index);
    };
    listener.onExit(0);
    await sandboxes.destroy("one");
    assert.equal(reclaimed.length, 1);
  });

  test("one that has ended is not specialised: its pid may be another's", async () => {
    const listener = await create("one");
    const { code, memoryMb } = { code: { task: "/code", layers: [] }, memoryMb: 128 };
    const request = { op: "specialise", id: "one", code, memoryMb, ephemeralStorageMb: 1024 } as const;
    listener.onExit(0);
    await assert.rejects(sandboxes.specialise(request), endedError);
    await sandboxes.destroy("one");
  });

  test("one that has ended and been destroyed before its end was announced is not looked at again", async () => {
    const creating = create("one").then((listener) => listener.onExit(0));
    const closing = sandboxes.destroyAll();
    await Promise.all([creating, closing]);
    await immediate();
    assert.deepEqual(exits, []);
  });
});

/** Control groups that throw, as the kernel's files do, when they are asked after they were removed. */
function groupsIn(names: Set<string>): CgroupTree {
  return {
    available: { memory: WALL, cpu: WALL, pids: WALL, freezer: WALL },
    create: (id) => {
      names.add(id);
      const whileThere = () => assert(names.has(id), `${id} has a control group`);
      const group: Cgroup = {
        joinFiles: [],
        peakMemoryPath: undefined,
        attach: whileThere,
        setMemory: whileThere,
        setCpu: whileThere,
        setBackground: whileThere,
        setPids: whileThere,
        freeze: whileThere,
        thaw: whileThere,
        oomKills: () => {
          whileThere();
          return 0;
        },
        kill: whileThere,
        pids: () => [],
        remove: () => names.delete(id),
      };
      return group;
    },
    sweep: () => undefined,
    close: () => undefined,
  };
}
