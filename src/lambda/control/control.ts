/**
 * The control room: functions, versions, aliases, tags and layers as AWS's control plane shows them, and the directory that
 * invocation looks functions up in. See docs/compat/functions.md for what is there and what differs.
 */
import { invalidParameterValue } from "../../errors.ts";
import type { ResourceFacts } from "../../iam/ports.ts";
import type { Clock } from "../../kernel/clock.ts";
import { ACCOUNT_CONCURRENCY_DEFAULT } from "../../limits.ts";
import type { BlobStore } from "../../store/blobs/blobs.ts";
import type { Store } from "../../store/store.ts";
import { noMetrics, type MetricsSink } from "../../telemetry/metrics.ts";
import type { WireResponse } from "../../wire/protocol.ts";
import type { OperationHandler } from "../../wire/service.ts";
import type { AsynchronousSettings } from "../invoke/asynchronous/settings.ts";
import type { FunctionDirectory } from "../invoke/directory.ts";
import type { FunctionUrlDirectory } from "../urls/function-url.ts";
import { Activation } from "./activation.ts";
import { aliasOperations } from "./aliases.ts";
import { codeSigningOperations } from "./code-signing-configs.ts";
import { CodeSigningStore } from "./code-signing-store.ts";
import { CodeSigning, type SignatureWarning } from "./code-signing.ts";
import { AccountConcurrency, concurrencyOperations } from "./concurrency.ts";
import { concurrencyFeed, type ConcurrencyFeed } from "./concurrency-feed.ts";
import { CapacityProviders } from "./capacity-provider-store.ts";
import { capacityProviderOperations } from "./capacity-providers.ts";
import { CodeUrls } from "./code-url.ts";
import { FunctionCode } from "./code.ts";
import { asynchronousSettings, eventInvokeOperations } from "./event-invoke.ts";
import { mappingOperations } from "./event-source-mappings.ts";
import { FunctionIndex } from "./function-index.ts";
import { FunctionStore } from "./function-store.ts";
import { FunctionUrlIndex } from "./function-url-index.ts";
import { functionUrlOperations } from "./function-urls.ts";
import { functionOperations } from "./functions.ts";
import { layerPermissionOperations } from "./layer-permissions.ts";
import { LayerStore } from "./layer-store.ts";
import { layerOperations } from "./layer-versions.ts";
import type {
  CodeFetcher,
  CodePreparer,
  ProfileFinder,
  Provisioning,
  RoleChecker,
  RuntimeFinder,
} from "./ports.ts";
import { provisionedOperations } from "./provisioned-concurrency.ts";
import { policyOperations } from "./policies.ts";
import { recursionOperations } from "./recursion.ts";
import { lambdaFacts } from "./resource-facts.ts";
import { runtimeManagementOperations } from "./runtime-management.ts";
import { scalingConfigOperations } from "./scaling-config.ts";
import { tagOperations } from "./tags.ts";
import { versionOperations } from "./versions.ts";

export interface ControlOptions {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly runtimes: RuntimeFinder;
  readonly clock: Clock;
  readonly region: string;
  /** Twelve digits. */
  readonly accountId: string;
  /** Signs the URLs of GetFunction; the same on every node behind one endpoint. */
  readonly codeUrlSecret: string | Uint8Array;
  /** Faults of our own that no request can be told of: to be logged. */
  readonly onFault: (fault: Error) => void;
  readonly accountConcurrency?: number;
  /** Nothing is made of code ahead when left out. */
  readonly preparer?: CodePreparer;
  /** Takes every well-formed ARN, and for a role that may do everything, when left out. */
  readonly roles?: RoleChecker;
  /** Knows of no environment when left out. */
  readonly provisioning?: Provisioning;
  /** Knows no bucket when left out. */
  readonly codeFetcher?: CodeFetcher;
  /** Knows nobody whose signatures count when left out. */
  readonly signingProfiles?: ProfileFinder;
  /** Keeps nothing when left out. */
  readonly metrics?: MetricsSink;
  /** Hears of code whose signature is not to be trusted. */
  readonly onSignatureWarning?: (warning: SignatureWarning) => void;
  /** 0 ≤ x < 1, for weighted aliases. */
  readonly random?: () => number;
}

export interface Control {
  readonly operations: Record<string, OperationHandler>;
  readonly directory: FunctionDirectory;
  /** Policies and tags of functions and layers, for authorisation. */
  readonly facts: ResourceFacts;
  readonly asynchronousSettings: AsynchronousSettings;
  /** Reserved and provisioned concurrency, for placement. */
  readonly concurrency: ConcurrencyFeed;
  /** Function URLs, for the room that serves them. */
  readonly urls: FunctionUrlDirectory;
  /** Answers GET of the URLs below CODE_PATH_PREFIX that GetFunction gives out. */
  downloadCode(path: string, query: string): Promise<WireResponse>;
  /** Ends what is under way; the store is the owner's to close. Idempotent. */
  close(): Promise<void>;
}

const noPreparer: CodePreparer = {
  prepare: () => Promise.resolve({ snapshot: false }),
  forget: () => Promise.resolve(),
};
const noProvisioning: Provisioning = { provisioned: () => ({ allocated: 0, available: 0 }) };
const anyRole: RoleChecker = { check: () => Promise.resolve(), roleMay: () => true };
const noProfiles: ProfileFinder = { find: () => Promise.resolve(undefined) };
const noBuckets: CodeFetcher = {
  fetch: () =>
    Promise.reject(
      invalidParameterValue(
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist",
      ),
    ),
};

/** Resolves when every function that the store holds can be looked up. */
export async function createControl(options: ControlOptions): Promise<Control> {
  const { store, blobs, runtimes, clock, region, accountId, onFault } = options;
  const layers = new LayerStore({ store, region, accountId });
  const providers = new CapacityProviders({ store, region, accountId });
  const index = new FunctionIndex({
    region,
    accountId,
    random: options.random ?? Math.random,
    otherCodeBytes: () => layers.bytes(),
  });
  const urls = new FunctionUrlIndex(index, { region, accountId });
  const preparer = options.preparer ?? noPreparer;
  const activation = new Activation({
    runtimes,
    preparer,
    clock,
    hostArchitecture: hostArchitecture(),
    onFault,
  });
  const functions = new FunctionStore({ store, index, clock, region, accountId });
  const codeSigningConfigs = new CodeSigningStore({ store, index, region, accountId });
  const signing = new CodeSigning({
    blobs,
    configs: codeSigningConfigs,
    profiles: options.signingProfiles ?? noProfiles,
    metrics: options.metrics ?? noMetrics,
    clock,
    onWarning: options.onSignatureWarning ?? (() => {}),
  });
  const code = new FunctionCode({
    blobs,
    preparer,
    fetcher: options.codeFetcher ?? noBuckets,
    signing,
    index,
    clock,
    otherCodeInUse: () => layers.hashes(),
    onFault,
  });
  const codeUrls = new CodeUrls({ secret: options.codeUrlSecret, clock, blobs });
  const checks = {
    roles: options.roles ?? anyRole,
    layers,
    providers,
    region,
    accountId,
  };
  const account = new AccountConcurrency(options.accountConcurrency ?? ACCOUNT_CONCURRENCY_DEFAULT, index);
  await layers.open();
  await codeSigningConfigs.open();
  await providers.open();
  await index.open(store, (name, version) => activation.notice(name, version));
  activation.start(functions);
  code.start();
  return {
    operations: {
      ...functionOperations({
        functions,
        code,
        codeUrls,
        signing,
        codeSigningConfigs,
        checks,
        account,
      }),
      ...versionOperations(functions, providers),
      ...aliasOperations(functions),
      ...codeSigningOperations(codeSigningConfigs, functions),
      ...tagOperations(functions, store, codeSigningConfigs, providers),
      ...capacityProviderOperations({ providers, functions, roles: checks.roles }),
      ...scalingConfigOperations(functions, providers),
      ...eventInvokeOperations(functions, checks.roles),
      ...runtimeManagementOperations(functions),
      ...recursionOperations(functions),
      ...concurrencyOperations(functions, account),
      ...provisionedOperations({
        functions,
        account,
        provisioning: options.provisioning ?? noProvisioning,
      }),
      ...layerOperations({ layers, code, codeUrls, clock }),
      ...layerPermissionOperations(layers),
      ...policyOperations(functions),
      ...functionUrlOperations(functions),
      ...mappingOperations({ store, functions, clock }),
    },
    directory: index,
    facts: lambdaFacts(index, layers, codeSigningConfigs, providers, { region, accountId }),
    asynchronousSettings: asynchronousSettings(index),
    concurrency: concurrencyFeed(index, providers, { region, accountId }),
    urls,
    downloadCode: (path, query) => codeUrls.download(path, query),
    async close() {
      index.close();
      layers.close();
      codeSigningConfigs.close();
      providers.close();
      await activation.close();
      await code.close();
    },
  };
}

function hostArchitecture(): string {
  return process.arch === "arm64" ? "arm64" : "x86_64";
}
