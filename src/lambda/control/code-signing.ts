/**
 * The signatures of code on its way in. A zip's signature is read, and the zip hashed, once: before anything of it is stored. What it says is
 * kept beside the code; whether that is enough for a function is decided whenever code or layers are given to the function.
 */
import { AwsError } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { BlobStore } from "../../store/blobs/blobs.ts";
import type { MetricsSink } from "../../telemetry/metrics.ts";
import { InvalidSignature } from "../signing/cms.ts";
import { readSignature, SIGNATURE_FILE } from "../signing/signature.ts";
import { distrust, isFromProfile } from "../signing/trust.ts";
import type { CodeSigningStore } from "./code-signing-store.ts";
import type { ProfileFinder } from "./ports.ts";
import type { LayerReference, SignatureRecord } from "./records.ts";

/** Code that a function was not, or only with a warning, given. */
export interface SignatureWarning {
  readonly functionName: string;
  /** The function, as the request named it, or the ARN of a layer version. */
  readonly subject: string;
  readonly codeSigningConfigArn: string;
  readonly reason: string;
  readonly refused: boolean;
}

export interface CodeSigningOptions {
  readonly blobs: Pick<BlobStore, "digest">;
  readonly configs: CodeSigningStore;
  readonly profiles: ProfileFinder;
  readonly metrics: MetricsSink;
  readonly clock: Clock;
  readonly onWarning: (warning: SignatureWarning) => void;
}

/** A function that is to have code or layers, and its configuration. */
export interface SignedFunction {
  readonly name: string;
  /** As the request named it. */
  readonly shown: string;
  /** None, when the function has no configuration: nothing is checked then. */
  readonly configArn: string | undefined;
}

export class CodeSigning {
  readonly #options: CodeSigningOptions;

  constructor(options: CodeSigningOptions) {
    this.#options = options;
  }

  /** What a zip's signature says; undefined when there is none. Throws AwsError for a zip that cannot be code. */
  async inspect(zip: Uint8Array): Promise<SignatureRecord | undefined> {
    const digest = await this.#options.blobs.digest(zip, SIGNATURE_FILE);
    if (!digest) return undefined;
    try {
      const signature = readSignature(digest);
      const profile = await this.#options.profiles.find(signature.profileVersionArn);
      return { ...signature, isVerified: isFromProfile(signature, profile) };
    } catch (error) {
      // Whether that matters is up to whoever is to have the code: only functions with a configuration ask.
      if (error instanceof InvalidSignature) return { broken: error.message };
      throw error;
    }
  }

  /**
   * Throws InvalidCodeSignatureException when code was changed after it was signed, whatever the configuration says; CodeVerificationFailedException when the
   * configuration is enforced and the signature is missing or not to be trusted; CodeSigningConfigNotFoundException when it is gone.
   */
  async checkCode(target: SignedFunction, signature: SignatureRecord | undefined): Promise<void> {
    await this.#check(target, [{ subject: target.shown, signature }]);
  }

  /** As `checkCode`, for each layer. */
  async checkLayers(target: SignedFunction, layers: readonly LayerReference[]): Promise<void> {
    await this.#check(
      target,
      layers.map(({ arn, signature }) => ({ subject: arn, signature })),
    );
  }

  async #check(
    { name, configArn }: SignedFunction,
    parts: readonly { subject: string; signature: SignatureRecord | undefined }[],
  ): Promise<void> {
    if (configArn === undefined || parts.length === 0) return;
    const { configs, profiles, clock } = this.#options;
    const config = await configs.requireForFunction(configArn);
    for (const { subject, signature } of parts) {
      const warn = (reason: string, refused: boolean) =>
        this.#warn({ functionName: name, subject, codeSigningConfigArn: configArn, reason, refused });
      if (signature && "broken" in signature) {
        warn(signature.broken, true);
        throw new AwsError(
          "InvalidCodeSignatureException",
          `Lambda cannot deploy the function. The code signature failed the integrity check. Check the provided signature for ${subject}.`,
        );
      }
      const reason = distrust(signature, {
        allowedProfileVersionArns: config.allowedProfileVersionArns,
        profile: signature && (await profiles.find(signature.profileVersionArn)),
        nowMs: clock.nowMs(),
      });
      if (reason === undefined) continue;
      warn(reason, config.untrusted === "Enforce");
      if (config.untrusted === "Enforce") {
        throw new AwsError(
          "CodeVerificationFailedException",
          `Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not configured to accept. Check the provided signature for ${subject}.`,
        );
      }
    }
  }

  #warn(warning: SignatureWarning): void {
    const { functionName } = warning;
    this.#options.metrics.count("SignatureValidationErrors", { functionName }, 1, "Count");
    this.#options.onWarning(warning);
  }
}

/** The members that show a signature which a registered profile vouched for when the code came in. */
export function showSignature(signature: SignatureRecord | undefined): {
  SigningProfileVersionArn?: string;
  SigningJobArn?: string;
} {
  if (!signature || "broken" in signature || !signature.isVerified) return {};
  return { SigningProfileVersionArn: signature.profileVersionArn, SigningJobArn: signature.jobArn };
}
