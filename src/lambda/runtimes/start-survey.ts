import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { coerceError } from "../../kernel/deferred.ts";
import { programFile } from "../../kernel/package-folder.ts";
import type { InterpreterSearch } from "./interpreter.ts";

/** By version, `3.12`. */
export type Survey = Readonly<Record<string, InterpreterSearch>>;

/**
 * Starts survey.ts as the user this process is now, at the lowest priority: nothing waits for it but the first function
 * of its runtime. Resolves with an empty survey when it fails; rejects never.
 */
export function startSurvey(onFailure: (error: Error) => void): Promise<Survey> {
  const program = programFile("lambda/runtimes/survey");
  const child = spawn("nice", ["-n", "19", process.execPath, program], { stdio: ["pipe", "pipe", "ignore"] });
  // It ends with this process, whose exit closes the pipe to it; and this process does not wait for it.
  child.unref();
  for (const pipe of [child.stdin, child.stdout]) (pipe as Socket).unref();
  return new Promise((resolve) => {
    const give = (survey: Survey, error?: Error) => {
      if (error) onFailure(error);
      resolve(survey);
    };
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.on("error", (error) => give({}, error));
    child.on("close", (code) => {
      // Ended with the server, before anybody needed to know.
      if (code === null) return give({});
      try {
        give(JSON.parse(text) as Survey);
      } catch (error) {
        give(
          {},
          new Error(`the search for interpreters ended with status ${code}`, { cause: coerceError(error) }),
        );
      }
    });
  });
}
