// Goal: a server that asks nobody for a signature (`--auth none`) still asks functions for one: what holds for who sits at
// the machine does not hold for code that runs on it.
// Method: the same unsigned requests from the machine's loopback and from inside a function.
import assert from "node:assert/strict";
import { test } from "node:test";
import { claims, useArena } from "./arena/arena.ts";

const arena = useArena({ auth: "none" });
const PATHS = ["/2015-03-31/functions", "/2015-03-31/functions/bystander", "/_hornero/bill"];

test("functions must sign where the machine's own users need not", async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const outside = await Promise.all(
    PATHS.map(async (path) => (await fetch(arena().facts.endpoint + path)).status),
  );
  assert.deepEqual(outside, [200, 200, 200]);
  const attacker = await arena().agent("node");
  const inside = await arena().during(() =>
    attacker.run(
      `
const ask = (headers) => Promise.all(event.paths.map(async (path) => (await fetch(process.env.AWS_ENDPOINT_URL + path, { headers })).status));
return [await ask({}), await ask({ host: "localhost:4566", "x-forwarded-for": "127.0.0.1" })];`,
      { paths: PATHS },
    ),
  );
  assert.deepEqual(inside, [
    [403, 403, 403],
    [403, 403, 403],
  ]);
});
