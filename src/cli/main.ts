/** The `hornero` command: one file per command in commands/, loaded when it is used. */
import { Command, Option } from "commander";
import { report } from "./errors.ts";

const program = new Command("hornero")
  .description("AWS Lambda on your own machines.")
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
  .option("--keep-alive <s>", "seconds that an idle environment is kept (HORNERO_KEEP_ALIVE; default 600)")
  .option("--pool <n>", "waiting sandboxes per runtime and memory size in use (HORNERO_POOL; default 2)")
  .option("--drain <s>", "seconds that running invocations are given at the end (HORNERO_DRAIN; default 30)")
  .option("--log-level <level>", "debug, info, warn, error or silent (HORNERO_LOG_LEVEL)")
  .option("--log-format <format>", "pretty or json (HORNERO_LOG_FORMAT)")
  .option("--example", "deploy the example function when it is not there")
  .action(async (options, command: Command) => {
    const { start } = await import("./commands/start.ts");
    await start({ ...program.opts(), ...options }, command);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error, process.stderr);
}
