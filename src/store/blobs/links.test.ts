/** Goal: no link of a zip leads out of its folder. Method: a table of links and targets, chains among them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolvesInside } from "./links.ts";

const INSIDE: Record<string, Record<string, string>> = {
  "to a sibling": { "lib/libz.so": "libz.so.1.2.11" },
  "up and down again": { "node_modules/.bin/tool": "../tool/cli.js" },
  "to the folder itself": { "a/b": ".." },
  "to nothing": { a: "missing/file" },
  "through another link": { a: "b/x", b: "c", "d/e": "../a" },
  "through dots": { "a/b": "./.././c//d/" },
  "to a layer": { node_modules: "/opt/nodejs/node_modules" },
  "to the folder by its name in the sandbox": { a: "/var/task/b", b: "/var/task" },
};

const OUTSIDE: Record<string, Record<string, string>> = {
  "up from the top": { a: ".." },
  "up too far": { "a/b": "../../c" },
  "up after going down": { a: "b/../../c" },
  absolute: { a: "/etc/passwd" },
  "absolute with dots": { a: "/./etc" },
  "the root": { a: "/" },
  "absolute, past a layer": { a: "/opt/../etc" },
  "absolute, past the folder": { a: "/var/task/../../etc" },
  "absolute, like the folder": { a: "/var/task2/x" },
  "past a link to a layer": { a: "b/../../etc", b: "/opt/lib" },
  "up from where another link leads": { "deep/er/a": "../../top/../..", top: "deep" },
  "through a chain": { a: "b", b: "c", c: "../x" },
  "a link to itself": { a: "a" },
  "a circle": { a: "b/x", b: "a" },
};

for (const [name, links] of Object.entries(INSIDE)) {
  test(`stays inside: ${name}`, () => {
    const tree = new Map(Object.entries(links));
    for (const path of tree.keys()) assert.equal(resolvesInside(path, tree), true, path);
  });
}

for (const [name, links] of Object.entries(OUTSIDE)) {
  test(`is refused: ${name}`, () => {
    const tree = new Map(Object.entries(links));
    const [first] = tree.keys();
    assert(first !== undefined);
    assert.equal(resolvesInside(first, tree), false);
  });
}
