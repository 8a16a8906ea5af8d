/**
 * SQS spoke awsQuery before it spoke JSON, and still does. botocore's model has lost the names of that protocol and the error
 * codes that `x-amzn-query-error` carries; the schemas of `@aws-sdk/client-sqs` (a development dependency) have them.
 */
import * as sqs from "@aws-sdk/client-sqs";
import type { MemberData, ModelData, ShapeData } from "../src/wire/models/data.ts";

interface Traits {
  readonly xmlName?: string;
  readonly xmlFlattened?: 1;
  readonly awsQueryError?: readonly [code: string, httpStatusCode: number];
}

/** A schema is a tuple `[kind, namespace, name, traits, …]`; a reference is a schema, a thunk of one, or `[reference, traits]`. */
const KIND = { map: 2, structure: 3, error: -3 };

function dereference(reference: unknown): { schema: unknown; traits: Traits } {
  if (Array.isArray(reference) && reference.length === 2) {
    const inner = dereference(reference[0]);
    return { schema: inner.schema, traits: reference[1] as Traits };
  }
  return { schema: typeof reference === "function" ? (reference as () => unknown)() : reference, traits: {} };
}

function queryNamed<T extends MemberData>(member: T, traits: Traits): T {
  return {
    ...member,
    ...(traits.xmlName === undefined ? {} : { queryName: traits.xmlName }),
    ...(traits.xmlFlattened === undefined ? {} : { flattened: true }),
  };
}

/** The model with query names, error codes, and awsQuery among its protocols. */
export function applySqsOverlay(model: ModelData): ModelData {
  const shapes: Record<string, ShapeData> = { ...model.shapes };
  for (const schema of Object.values(sqs) as unknown[]) {
    if (!Array.isArray(schema)) continue;
    const name = String(schema[2]);
    const shape = shapes[name];
    if (shape === undefined) continue;
    if (schema[0] === KIND.error) {
      const query = (schema[3] as Traits).awsQueryError;
      if (query)
        shapes[name] = { ...shape, error: { code: query[0], httpStatusCode: query[1], senderFault: true } };
    } else if (schema[0] === KIND.structure) {
      const members: Record<string, MemberData> = { ...shape.members };
      (schema[4] as string[]).forEach((memberName, position) => {
        const { schema: target, traits } = dereference((schema[5] as unknown[])[position]);
        const member = members[memberName];
        if (member === undefined) return;
        members[memberName] = queryNamed(member, traits);
        if (Array.isArray(target) && target[0] === KIND.map) nameMapEntries(shapes, member.shape, target);
      });
      shapes[name] = { ...shape, members };
    }
  }
  const metadata = {
    ...model.metadata,
    protocols: [...model.metadata.protocols, "query"],
    xmlNamespace: { uri: "http://queue.amazonaws.com/doc/2012-11-05/" },
  };
  return { ...model, metadata, shapes };
}

/** A map's entries are `Name` and `Value` in SQS, not `key` and `value`. */
function nameMapEntries(shapes: Record<string, ShapeData>, name: string, schema: readonly unknown[]): void {
  const map = shapes[name];
  if (map?.key === undefined || map.value === undefined) return;
  shapes[name] = {
    ...map,
    key: queryNamed(map.key, dereference(schema[4]).traits),
    value: queryNamed(map.value, dereference(schema[5]).traits),
  };
}
