/** An error's members as a JSON object: for restJson1 and awsJson. */
import type { ErrorParts, Structure } from "./codec.ts";
import { structureWriter } from "./json.ts";

export function jsonErrorBody({ shape, members }: ErrorParts, message: string): Structure {
  if (shape === undefined) return members;
  const body = structureWriter(shape, (member) => member.data.location === undefined)(members) as Structure;
  // Some shapes have no message in the model; AWS sends one all the same.
  const modelled = shape.members.some((member) => member.name.toLowerCase() === "message");
  return modelled ? body : { ...body, message };
}
