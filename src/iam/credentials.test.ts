/**
 * Goal: keys live as long as they should (across restarts, on other nodes), die when they should, and nothing that was
 * not minted here is ever taken for a session.
 * Method: the in-memory store as the disk; several CredentialStores over it stand for restarts and nodes; a manual clock.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AwsError } from "../errors.ts";
import { ManualClock } from "../kernel/clock.ts";
import { MemoryStore } from "../store/memory.ts";
import { CredentialStore, rootPrincipal } from "./credentials.ts";

const ACCOUNT = "000000000000";
const HOUR_MS = 3_600_000;

const newWorld = () => {
  const clock = new ManualClock();
  return { clock, store: new MemoryStore(clock) };
};

const open = (world: ReturnType<typeof newWorld>) =>
  CredentialStore.open(world.store, { accountId: ACCOUNT, clock: world.clock });

const session = (expiresAtMs: number) => ({
  principalArn: `arn:aws:sts::${ACCOUNT}:assumed-role/worker/me`,
  roleArn: `arn:aws:iam::${ACCOUNT}:role/worker`,
  roleId: "AROAAAAAAAAAAAAAAAAA",
  sessionName: "me",
  expiresAtMs,
});

describe("long-term access keys", () => {
  it("makes the root's key on the first start only, and knows it after a restart", async () => {
    const world = newWorld();
    const { created, credentials } = await open(world);
    assert.match(created?.accessKeyId ?? "", /^AKIA[A-Z2-7]{16}$/);
    assert.match(created?.secretAccessKey ?? "", /^[A-Za-z0-9+/]{40}$/);
    credentials.close();
    const again = await open(world);
    assert.equal(again.created, undefined);
    assert.deepEqual(again.credentials.lookup(created?.accessKeyId ?? "", undefined), {
      secretAccessKey: created?.secretAccessKey,
      principal: { ...rootPrincipal(ACCOUNT), accessKeyId: created?.accessKeyId },
    });
  });

  it("makes one root key when several nodes start at once", async () => {
    const world = newWorld();
    const nodes = await Promise.all([open(world), open(world), open(world)]);
    assert.equal(nodes.filter(({ created }) => created !== undefined).length, 1);
  });

  it("follows what other nodes do: create, deactivate, activate, delete", async () => {
    const world = newWorld();
    const [here, there] = [(await open(world)).credentials, (await open(world)).credentials];
    const owner = {
      kind: "user",
      arn: `arn:aws:iam::${ACCOUNT}:user/u`,
      accountId: ACCOUNT,
      userId: "AIDA",
    } as const;
    const { accessKeyId, secretAccessKey } = await here.createAccessKey(owner);
    const seen = () => {
      const found = there.lookup(accessKeyId, undefined);
      return typeof found === "string" ? found : found.secretAccessKey;
    };
    assert.equal(seen(), secretAccessKey);
    assert.equal(there.listAccessKeys(owner.arn).length, 1);
    assert.equal(await here.updateAccessKey(accessKeyId, "Inactive"), true);
    assert.equal(seen(), "unknown");
    assert.equal(await there.updateAccessKey(accessKeyId, "Active"), true);
    assert.equal(seen(), secretAccessKey);
    assert.equal(await here.deleteAccessKey(accessKeyId), true);
    assert.equal(seen(), "unknown");
    assert.equal(here.lookup(accessKeyId, undefined), "unknown");
    assert.equal(await here.deleteAccessKey(accessKeyId), false);
    assert.equal(await here.updateAccessKey(accessKeyId, "Active"), false);
  });
});

describe("temporary credentials", () => {
  it("hold on every node and after a restart, without a write, until they expire", async () => {
    const world = newWorld();
    const { credentials } = await open(world);
    const minted = credentials.mint(session(world.clock.nowMs() + HOUR_MS));
    assert.match(minted.accessKeyId, /^ASIA[A-Z2-7]{16}$/);
    credentials.close();
    const restarted = (await open(world)).credentials;
    const found = restarted.lookup(minted.accessKeyId, minted.sessionToken);
    assert(typeof found !== "string", "it is refused");
    assert.equal(found.secretAccessKey, minted.secretAccessKey);
    assert.equal(found.principal.kind, "assumed-role");
    assert.equal(found.principal.arn, `arn:aws:sts::${ACCOUNT}:assumed-role/worker/me`);
    assert.equal(found.principal.userId, "AROAAAAAAAAAAAAAAAAA:me");
    assert.equal(found.principal.session?.roleArn, `arn:aws:iam::${ACCOUNT}:role/worker`);
    assert.equal(found.principal.session?.issuedAtMs, world.clock.nowMs());
    world.clock.advance(HOUR_MS - 1);
    assert.equal(restarted.lookup(minted.accessKeyId, minted.sessionToken), found);
    world.clock.advance(1);
    assert.equal(restarted.lookup(minted.accessKeyId, minted.sessionToken), "expired");
  });

  it("are worth nothing without their token, with another's, or in another house", async () => {
    const world = newWorld();
    const { credentials } = await open(world);
    const spec = session(world.clock.nowMs() + HOUR_MS);
    const [one, two] = [credentials.mint(spec), credentials.mint(spec)];
    assert.equal(credentials.lookup(one.accessKeyId, undefined), "unknown");
    assert.equal(credentials.lookup(one.accessKeyId, ""), "unknown");
    assert.equal(credentials.lookup(one.accessKeyId, two.sessionToken), "invalid-token");
    assert.notEqual(typeof credentials.lookup(one.accessKeyId, one.sessionToken), "string");
    // A second time: what was opened once is remembered under its token, and still belongs to one key only.
    assert.equal(credentials.lookup(two.accessKeyId, one.sessionToken), "invalid-token");
    const elsewhere = (await open(newWorld())).credentials;
    assert.equal(elsewhere.lookup(one.accessKeyId, one.sessionToken), "invalid-token");
  });

  it("refuse every token that has one bit changed, and any garbage", async () => {
    const world = newWorld();
    const { credentials } = await open(world);
    const { accessKeyId, sessionToken } = credentials.mint(session(world.clock.nowMs() + HOUR_MS));
    const bytes = Buffer.from(sessionToken, "base64");
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
        assert.equal(credentials.lookup(accessKeyId, damaged.toString("base64")), "invalid-token");
      }),
    );
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (garbage) => {
        assert.equal(credentials.lookup(accessKeyId, garbage), "invalid-token");
      }),
    );
    assert.equal(credentials.lookup(accessKeyId, "A".repeat(100_000)), "invalid-token");
  });

  it("refuse policies that do not fit into a token", async () => {
    const world = newWorld();
    const { credentials } = await open(world);
    assert.throws(
      () => credentials.mint({ ...session(0), policies: ["x".repeat(10_000)] }),
      (error) => error instanceof AwsError && error.code === "PackedPolicyTooLargeException",
    );
  });
});
