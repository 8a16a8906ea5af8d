/**
 * The REST routes of one service: a tree of path segments built from the model's URIs. Literals go before labels, labels before
 * greedy labels. Where several operations share method and path (S3), the query that the model's URI fixes and the required
 * header and query members decide: a route whose requirements are met beats one with fewer.
 */
import { assert } from "../kernel/assert.ts";
import { parseQuery } from "./codecs/rest-bindings.ts";
import type { ServiceModel } from "./models/shapes.ts";
import type { WireRequest } from "./protocol.ts";

interface Route {
  readonly operation: string;
  readonly method: string;
  /** Names of the labels in the order of the path. */
  readonly labels: readonly string[];
  /** `?List=ALL`, `?acl`: names with the value that they must have, if any. */
  readonly fixedQuery: readonly (readonly [name: string, value: string | undefined])[];
}

interface Node {
  readonly literals: Map<string, Node>;
  label: Node | undefined;
  greedy: Route[] | undefined;
  readonly routes: Route[];
}

type RequestHead = Omit<WireRequest, "body">;

export interface RouteMatch {
  readonly operation: string;
  /** Still percent-encoded. */
  readonly labels: Record<string, string>;
}

function newNode(): Node {
  return { literals: new Map(), label: undefined, greedy: undefined, routes: [] };
}

function parseUri(uri: string): { segments: string[]; fixedQuery: Route["fixedQuery"] } {
  const [path = "", query = ""] = uri.split("?");
  const fixedQuery = query
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const [name = "", value] = part.split("=");
      return [name, value] as const;
    });
  return { segments: splitPath(path), fixedQuery };
}

/** Without the empty segment of a slash at the end: older clients send one. */
function splitPath(path: string): string[] {
  const segments = path.split("/");
  segments.shift();
  if (segments.at(-1) === "") segments.pop();
  return segments;
}

export class Router {
  readonly #model: ServiceModel;
  readonly #root = newNode();

  constructor(model: ServiceModel) {
    this.#model = model;
    for (const name of model.operationNames) this.#add(name);
  }

  #add(operation: string): void {
    const data = this.#model.operationData(operation);
    assert(data, `the model has ${operation}`);
    const { segments, fixedQuery } = parseUri(data.http.requestUri);
    const labels: string[] = [];
    const route: Route = { operation, method: data.http.method, labels, fixedQuery };
    let node = this.#root;
    for (const [position, segment] of segments.entries()) {
      if (!segment.startsWith("{")) {
        let next = node.literals.get(segment);
        if (next === undefined) node.literals.set(segment, (next = newNode()));
        node = next;
      } else if (segment.endsWith("+}")) {
        assert(position === segments.length - 1, `${operation}: a greedy label is the last segment`);
        labels.push(segment.slice(1, -2));
        (node.greedy ??= []).push(route);
        return;
      } else {
        labels.push(segment.slice(1, -1));
        node = node.label ??= newNode();
      }
    }
    node.routes.push(route);
  }

  /** `path` overrides the head's own: a bucket in the host's name is put before it. */
  find(head: RequestHead, path = head.path): RouteMatch | undefined {
    const segments = splitPath(path);
    const values: string[] = [];
    const route = this.#walk(this.#root, segments, 0, values, head, path);
    if (route === undefined) return undefined;
    const labels: Record<string, string> = {};
    route.labels.forEach((name, position) => {
      labels[name] = values[position] ?? "";
    });
    return { operation: route.operation, labels };
  }

  #walk(
    node: Node,
    segments: readonly string[],
    at: number,
    values: string[],
    head: RequestHead,
    path: string,
  ): Route | undefined {
    const segment = segments[at];
    if (segment === undefined) return this.#choose(node.routes, head);
    const literal = node.literals.get(segment);
    const found = literal && this.#walk(literal, segments, at + 1, values, head, path);
    if (found) return found;
    if (node.label !== undefined && segment !== "") {
      values.push(segment);
      const labelled = this.#walk(node.label, segments, at + 1, values, head, path);
      if (labelled) return labelled;
      values.pop();
    }
    if (node.greedy === undefined) return undefined;
    const greedy = this.#choose(node.greedy, head);
    if (greedy) {
      // A slash at the end is part of a greedy label: S3's keys may end in one.
      values.push(segments.slice(at).join("/") + (path.endsWith("/") ? "/" : ""));
    }
    return greedy;
  }

  #choose(routes: readonly Route[], head: RequestHead): Route | undefined {
    const [first] = routes;
    if (first === undefined) return undefined;
    if (routes.length === 1 && first.fixedQuery.length === 0)
      return first.method === head.method ? first : undefined;
    const query = new Map(parseQuery(head.query));
    const candidates = routes.filter(
      (route) =>
        route.method === head.method &&
        route.fixedQuery.every(([name, value]) =>
          value === undefined || value === "" ? query.has(name) : query.get(name) === value,
        ),
    );
    if (candidates.length <= 1) return candidates[0];
    return this.#mostSpecific(candidates, query, head);
  }

  #mostSpecific(
    candidates: readonly Route[],
    query: ReadonlyMap<string, string>,
    head: RequestHead,
  ): Route | undefined {
    let best: Route | undefined;
    let bestWeight = -1;
    for (const route of candidates) {
      const required = (this.#model.operation(route.operation)?.input?.members ?? []).filter(
        ({ required, data }) => required && (data.location === "header" || data.location === "querystring"),
      );
      const met = required.every(({ wireName, data }) =>
        data.location === "header" ? wireName.toLowerCase() in head.headers : query.has(wireName),
      );
      const weight = route.fixedQuery.length + required.length;
      if (met && weight > bestWeight) {
        best = route;
        bestWeight = weight;
      }
    }
    // Nothing is met: the least demanding one says best what is missing.
    return best ?? candidates.toSorted((a, b) => a.fixedQuery.length - b.fixedQuery.length)[0];
  }
}
