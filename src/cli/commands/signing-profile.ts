import { readFileSync } from "node:fs";
import { partitionOf } from "../../kernel/arn.ts";
import { systemClock } from "../../kernel/clock.ts";
import {
  newProfileArn,
  readCertificates,
  SigningProfiles,
  signingProfilesFolder,
  type SigningProfile,
} from "../../lambda/signing/profiles.ts";
import { dataDirectory, readConfiguration, type Options } from "../configuration.ts";
import { CliError, EXIT } from "../errors.ts";
import { table } from "../table.ts";

type Write = (text: string) => void;

/** The profiles of the data folder that the options name; no server need run. */
export function signingProfiles(options: Options): SigningProfiles {
  return new SigningProfiles(signingProfilesFolder(dataDirectory(options, process.env)));
}

/** Registers the certificates of a PEM file, and prints the ARN that code signing configurations name. */
export async function addSigningProfile(
  { name, file }: { readonly name: string; readonly file: string },
  options: Options,
  write: Write,
): Promise<void> {
  const { region, accountId } = readConfiguration(options, process.env);
  const given = options["arn"];
  const arn =
    typeof given === "string"
      ? given
      : newProfileArn({ partition: partitionOf(region), region, accountId }, name);
  if (!arn.includes(`:/signing-profiles/${name}/`)) {
    throw new CliError(`--arn is not of a profile ${name}: ${arn}`, { exitCode: EXIT.usage });
  }
  const certificates = readCertificates(readFileSync(file, "utf8"));
  const profile = await signingProfiles(options).add(arn, certificates, systemClock.nowMs());
  write(options["json"] === true ? asJson(profile) : `${arn}\n`);
}

/** Lists the registered versions. */
export async function listSigningProfiles(options: Options, write: Write): Promise<void> {
  const profiles = await signingProfiles(options).list();
  if (options["json"] === true) {
    write(asJson(profiles));
    return;
  }
  if (profiles.length === 0) {
    write("No signing profiles. Register one: hornero signing-profile add NAME CERTIFICATE.pem\n");
    return;
  }
  const rows = profiles.map(({ arn, addedMs, certificates, revokedSinceMs, revokedJobArns }) => [
    arn,
    new Date(addedMs).toISOString().slice(0, 19).replace("T", " "),
    String(certificates.length),
    revokedSinceMs === undefined
      ? `${revokedJobArns.length} signatures`
      : revokedSinceMs === 0
        ? "all"
        : `since ${new Date(revokedSinceMs).toISOString().slice(0, 19).replace("T", " ")}`,
  ]);
  write(table(["PROFILE", "ADDED (UTC)", "CERTIFICATES", "REVOKED"], rows));
}

/** Makes all signatures of a profile count no more, or those since a time, or one. */
export async function revokeSigningProfile(nameOrArn: string, options: Options, write: Write): Promise<void> {
  const { job, since } = options;
  if (job !== undefined && since !== undefined) {
    throw new CliError("--job and --since exclude each other", { exitCode: EXIT.usage });
  }
  const sinceMs = typeof since === "string" ? Date.parse(since) : 0;
  if (Number.isNaN(sinceMs)) {
    throw new CliError(`--since takes a time such as 2026-11-24T10:00:00Z, not '${String(since)}'`, {
      exitCode: EXIT.usage,
    });
  }
  const profiles = signingProfiles(options);
  const { arn } = await profiles.require(nameOrArn);
  if (typeof job === "string") await profiles.revokeJob(arn, job);
  else await profiles.revoke(arn, sinceMs);
  write(`Revoked: ${typeof job === "string" ? job : arn}\n`);
}

function asJson(value: SigningProfile | readonly SigningProfile[]): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
