import type { WhyAnswer } from "../../iam/why.ts";
import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";

/** Says whether a principal may do something, and which statements decide it. True when it may. */
export async function iamWhy(
  { principal, action, resource }: { principal: string; action: string; resource: string },
  options: Options,
  write: (text: string) => void,
): Promise<boolean> {
  const { client, server } = connect(options);
  const arn = principal.startsWith("arn:") ? principal : `arn:aws:iam::${server.accountId}:${principal}`;
  const query = new URLSearchParams({ principal: arn, action, resource });
  const response = await client.send("lambda", {
    method: "GET",
    target: `/_hornero/iam/why?${query.toString()}`,
  });
  const text = response.body.toString("utf8");
  const answer = JSON.parse(text) as WhyAnswer;
  if (options["json"] === true) write(`${text}\n`);
  else write(`${answer.message}\n${answer.lines.map((line) => `  ${line}\n`).join("")}`);
  return answer.allowed;
}
