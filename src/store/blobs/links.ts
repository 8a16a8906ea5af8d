/** Where a symbolic link leads: on the tree that a zip will become, before it exists. */

/** Links that a path may pass; Linux stops at as many. A circle of links ends here too. */
const HOPS_MAX = 40;

/**
 * Whether the link at `path` stays within the folder, every link on its way followed. What it names need not exist.
 *
 * Absolute targets are judged as the sandbox shows them: the folder is /var/task there, and /opt has the layers, which
 * function code does link to (`node_modules -> /opt/nodejs/node_modules`). Outside of a sandbox they mean nothing.
 */
export function resolvesInside(path: string, links: ReadonlyMap<string, string>): boolean {
  const place = path.split("/").slice(0, -1);
  const rest: string[] = [];
  let next = links.get(path) ?? "";
  for (let hops = 1; hops <= HOPS_MAX; hops++) {
    rest.unshift(...next.split("/"));
    if (next.startsWith("/")) {
      const inside = enterAbsolute(rest);
      if (inside !== "task") return inside === "opt";
      place.length = 0;
    }
    const met = walk(place, rest, links);
    if (met === "left") return false;
    if (met === "arrived") return true;
    next = met.target;
  }
  return false;
}

/** Takes the mount point off the front of `rest`. */
function enterAbsolute(rest: string[]): "task" | "opt" | "elsewhere" {
  const parts = rest.filter((part) => part !== "" && part !== ".");
  if (parts[0] === "opt") return parts.includes("..") ? "elsewhere" : "opt";
  if (parts[0] !== "var" || parts[1] !== "task") return "elsewhere";
  rest.splice(0, rest.length, ...parts.slice(2));
  return "task";
}

/** Walks `rest` from `place`, both of which it changes, to its end, out of the folder, or to a link. */
function walk(
  place: string[],
  rest: string[],
  links: ReadonlyMap<string, string>,
): "arrived" | "left" | { target: string } {
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (place.pop() === undefined) return "left";
      continue;
    }
    const target = links.get([...place, part].join("/"));
    if (target !== undefined) return { target };
    place.push(part);
  }
  return "arrived";
}
