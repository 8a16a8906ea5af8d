/** The `hornero` command: one file per command in commands/, loaded when it is used. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { PACKAGE_FOLDER } from "../kernel/package-folder.ts";
import { useCompileCache } from "./compile-cache.ts";
import { report } from "./errors.ts";

// A reader that has seen enough, `hornero logs NAME | head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

useCompileCache();
const program = new Command("hornero")
  .description("AWS Lambda on your own machines.")
  .version(version(), "-V, --version", "print the version")
  .option(
    "--data <dir>",
    "the data folder (HORNERO_DATA; default: /var/lib/hornero for root, else ~/.local/share/hornero)",
  )
  .showHelpAfterError("(hornero --help says more)")
  .exitOverride((error) => {
    // Help and version are no failures; a wrong call has been explained by commander already.
    process.exit(error.exitCode === 0 ? 0 : 2);
  });

program
  .command("start")
  .description("run the server in front, until Ctrl-C")
  .option("--port <n>", "port to listen on; 0 takes a free one (HORNERO_PORT; default 4566)")
  .option("--host <address>", "address to listen on (HORNERO_HOST; default 127.0.0.1)")
  .addOption(
    new Option("--auth <how>", "none: whoever connects on loopback is root (HORNERO_AUTH)").choices([
      "sigv4",
      "none",
    ]),
  )
  .addOption(
    new Option("--driver <name>", "how functions are isolated (HORNERO_DRIVER)").choices([
      "auto",
      "bubblewrap",
      "process",
    ]),
  )
  .option(
    "--runtimes <dir>",
    "keep fetched interpreters there, to share them between servers (HORNERO_RUNTIMES; default: in the data folder)",
  )
  .option("--region <name>", "the Region (HORNERO_REGION; default us-east-1)")
  .option("--account-id <id>", "twelve digits (HORNERO_ACCOUNT_ID)")
  .option("--concurrency <n>", "concurrent executions of the account (HORNERO_CONCURRENCY; default 1000)")
  .option(
    "--request-rate <n>",
    "requests a second for each unit of concurrency (HORNERO_REQUEST_RATE; default 10)",
  )
  .option(
    "--scaling-rate <n>",
    "environments that a function may have started in ten seconds (HORNERO_SCALING_RATE; default 1000)",
  )
  .option(
    "--keep-alive <s>",
    "seconds that an idle environment is kept, or auto, auto:<s> (HORNERO_KEEP_ALIVE; default auto)",
  )
  .option("--pool <n>", "waiting sandboxes per runtime and memory size in use (HORNERO_POOL; default 2)")
  .option(
    "--async-events <n>",
    "asynchronous events of one function that may wait (HORNERO_ASYNC_EVENTS; default 1000000)",
  )
  .option(
    "--async-retry-delay <s>",
    "wait before an asynchronous event's first retry; its second waits twice as long (HORNERO_ASYNC_RETRY_DELAY; default 60)",
  )
  .option(
    "--busy-poll <us>",
    "microseconds that the server polls at most, instead of sleeping, for an answer that is about to come (HORNERO_BUSY_POLL; default 200)",
  )
  .option("--drain <s>", "seconds that running invocations are given at the end (HORNERO_DRAIN; default 30)")
  .option("--log-level <level>", "debug, info, warn, error or silent (HORNERO_LOG_LEVEL)")
  .option("--log-format <format>", "pretty or json (HORNERO_LOG_FORMAT)")
  .option("--example", "deploy the example function when it is not there")
  .action(async (options, command: Command) => {
    const { start } = await import("./commands/start.ts");
    await start({ ...program.opts(), ...options }, command);
  });

const out = (text: string) => void process.stdout.write(text);
const err = (text: string) => void process.stderr.write(text);

program
  .command("env")
  .description("print the variables that point AWS's tools at the running server")
  .option("--shell <shell>", "whose words to use: posix, fish or powershell", "posix")
  .option("--json", "as JSON")
  .action(async (options) => {
    const { env } = await import("./commands/env.ts");
    await env({ ...program.opts(), ...options }, out);
  });

program
  .command("deploy")
  .description("zip a folder, create the function or update it, and wait until it is active")
  .argument("<dir>", "the folder with the function's code")
  .option("--name <name>", "the function's name; default: the folder's")
  .option("--runtime <id>", "default: what it has, for a new function what the folder's files say")
  .option("--handler <handler>", "default: as for --runtime")
  .option("--memory <mb>", "memory in MB")
  .option("--timeout <s>", "timeout in seconds")
  .option("--role <arn>", "execution role")
  .option(
    "--env <name=value>",
    "an environment variable; may be given several times",
    (one: string, all: string[] | undefined) => [...(all ?? []), one],
  )
  .option("--json", "print the function's configuration as JSON")
  .action(async (dir: string, options) => {
    const { deploy } = await import("./commands/deploy.ts");
    await deploy(dir, { ...program.opts(), ...options }, out);
  });

program
  .command("invoke")
  .description("invoke a function and print its answer; exit status 3 when the function failed")
  .argument("<name>", "name or ARN")
  .option("--payload <json>", "the event; - reads standard input")
  .option("--file <file>", "the event from a file; - reads standard input")
  .option("--qualifier <qualifier>", "version or alias")
  .option("--logs", "print the end of the invocation's log to standard error")
  .action(async (name: string, options) => {
    const { invoke } = await import("./commands/invoke.ts");
    process.exitCode = await invoke(
      name,
      { ...program.opts(), ...options },
      { out, err, isTerminal: process.stdout.isTTY },
    );
  });

program
  .command("logs")
  .description("print a function's log")
  .argument("<name>", "function, or log group that begins with /")
  .option("-f, --follow", "go on until Ctrl-C")
  .option("--since <time>", "30s, 10m, 2h, 1d; default 1h")
  .option("--filter <pattern>", "a CloudWatch Logs filter pattern")
  .option("--json", "one JSON object a line")
  .action(async (name: string, options) => {
    const { logs } = await import("./commands/logs.ts");
    const stop = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
    await logs(name, { ...program.opts(), ...options }, out, stop.signal);
  });

program
  .command("ls")
  .description("list the functions")
  .option("--json", "as JSON")
  .action(async (options) => {
    const { ls } = await import("./commands/ls.ts");
    await ls({ ...program.opts(), ...options }, out);
  });

program
  .command("rm")
  .description("delete a function")
  .argument("<name>", "name or ARN")
  .option("--yes", "do not ask")
  .action(async (name: string, options) => {
    const { rm } = await import("./commands/rm.ts");
    await rm(name, { ...program.opts(), ...options }, out);
  });

program
  .command("bill")
  .description("a month's usage per function, with AWS's prices")
  .option("--month <yyyy-mm>", "default: this month, UTC")
  .option("--json", "as JSON")
  .action(async (options) => {
    const { bill } = await import("./commands/bill.ts");
    await bill({ ...program.opts(), ...options }, out);
  });

program
  .command("iam")
  .description("questions to IAM")
  .command("why")
  .description(
    "say whether somebody may do something, and which statements decide it; exit status 1 when not",
  )
  .argument("<principal>", "user/NAME, role/NAME or an ARN")
  .argument("<action>", "lambda:InvokeFunction")
  .argument("[resource]", "an ARN", "*")
  .option("--json", "as JSON")
  .action(async (principal: string, action: string, resource: string, options) => {
    const { iamWhy } = await import("./commands/iam-why.ts");
    const asked = { principal, action, resource };
    process.exitCode = (await iamWhy(asked, { ...program.opts(), ...options }, out)) ? 0 : 1;
  });

program
  .command("sign")
  .description("sign a deployment package: puts a signature into the zip")
  .argument("<zip>", "the zip")
  .requiredOption("--profile <name|arn>", "the signing profile, or its version's ARN")
  .requiredOption("--key <file>", "the signer's private key, PEM")
  .option(
    "--certificate <file>",
    "the signer's certificate and those that lead to the profile's, PEM; default: the profile's",
  )
  .option("--days <n>", "until when the signature holds; default: as long as the signer's certificate")
  .option("--out <file>", "write there; default: replace the zip")
  .option("--json", "as JSON")
  .action(async (zip: string, options) => {
    const { sign } = await import("./commands/sign.ts");
    await sign(zip, { ...program.opts(), ...options }, out);
  });

const signingProfile = program.command("signing-profile").description("whose signatures of code count");
signingProfile
  .command("add")
  .description("register a profile's next version, and print its ARN")
  .argument("<name>", "letters, digits and underscores")
  .argument("<file>", "certificates, PEM: the signer's own, or of an authority that vouches for signers")
  .option("--arn <arn>", "a version's ARN that exists elsewhere, such as on AWS; default: a new one")
  .option("--region <name>", "the Region of a new ARN (HORNERO_REGION; default us-east-1)")
  .option("--account-id <id>", "the account of a new ARN (HORNERO_ACCOUNT_ID)")
  .option("--json", "as JSON")
  .action(async (name: string, file: string, options) => {
    const { addSigningProfile } = await import("./commands/signing-profile.ts");
    await addSigningProfile({ name, file }, { ...program.opts(), ...options }, out);
  });
signingProfile
  .command("ls")
  .description("list the registered versions")
  .option("--json", "as JSON")
  .action(async (options) => {
    const { listSigningProfiles } = await import("./commands/signing-profile.ts");
    await listSigningProfiles({ ...program.opts(), ...options }, out);
  });
signingProfile
  .command("revoke")
  .description("have signatures count no more: all of a profile's version, those since a time, or one")
  .argument("<profile>", "its name, which means the newest version, or a version's ARN")
  .option("--since <time>", "those made then or later: 2026-11-24T10:00:00Z")
  .option("--job <arn>", "the one of this signing job")
  .action(async (profile: string, options) => {
    const { revokeSigningProfile } = await import("./commands/signing-profile.ts");
    await revokeSigningProfile(profile, { ...program.opts(), ...options }, out);
  });

program
  .command("doctor")
  .description("say what this machine can do, and how to mend what is missing")
  .option("--json", "as JSON")
  .action(async (options) => {
    const { doctor } = await import("./commands/doctor.ts");
    process.exitCode = (await doctor({ ...program.opts(), ...options }, out)) ? 0 : 1;
  });

program
  .command("stop")
  .description("end the running server, and wait until it has ended")
  .action(async (options) => {
    const { stop } = await import("./commands/stop.ts");
    await stop({ ...program.opts(), ...options }, out);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error, process.stderr);
}

function version(): string {
  const path = join(PACKAGE_FOLDER, "package.json");
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
