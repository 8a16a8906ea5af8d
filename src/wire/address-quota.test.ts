// Goal: one address has so many connections and no more, and each one that closes makes room for another.
// Method: a real server on loopback, and clients that wait for what becomes of their connections.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { AddressQuota } from "./address-quota.ts";

test("an address has so many connections, another one its own", async (t) => {
  const quota = new AddressQuota(2);
  const server = createServer((socket) => {
    if (quota.admit(socket)) socket.end("welcome");
  });
  // Half-open ends: an admitted connection stays until its client closes it.
  server.listen({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const clients: Socket[] = [];
  t.after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  const knock = async (localAddress: string) => {
    const { port } = server.address() as AddressInfo;
    const socket = connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true });
    clients.push(socket);
    const refused = once(socket, "error").then(() => "refused");
    const welcomed = once(socket, "data").then(String);
    return { socket, answer: await Promise.race([refused, welcomed]) };
  };
  const first = await knock("127.0.0.1");
  const second = await knock("127.0.0.1");
  assert.deepEqual([first.answer, second.answer], ["welcome", "welcome"]);
  assert.equal((await knock("127.0.0.1")).answer, "refused");
  assert.equal((await knock("127.0.0.2")).answer, "welcome");
  const closed = new Promise((resolve) => server.once("connection", resolve));
  first.socket.destroy();
  let again = (await knock("127.0.0.1")).answer;
  await closed;
  // The server hears of the end a moment later.
  while (again === "refused") again = (await knock("127.0.0.1")).answer;
  assert.equal(again, "welcome");
});
