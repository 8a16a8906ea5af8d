/** What placement is told of the concurrency of functions, and what it tells. Types only. */
import type { FunctionVersion } from "../model.ts";

/** What is configured for one function. */
export interface FunctionConcurrency {
  /** Unqualified. */
  readonly functionArn: string;
  /** Of all versions together; absent: none is reserved. */
  readonly reserved?: number;
  /** Versions for which environments are kept ready, and how many; each version once, counts from 1. */
  readonly provisioned: readonly { readonly version: FunctionVersion; readonly count: number }[];
  /** Versions on Managed Instances, and between how many environments each scales. */
  readonly managed?: readonly ManagedScaling[];
}

export interface ManagedScaling {
  readonly version: FunctionVersion;
  /** Environments that are always there, and that there may be: 0 ≤ min ≤ max. */
  readonly min: number;
  readonly max: number;
  /** vCPUs of one environment. */
  readonly vcpus: number;
  /** The capacity provider that they are of; the same object for all versions until it changes. */
  readonly provider: { readonly name: string; readonly vcpusMax: number };
}

/** What there is of a version's provisioned concurrency at this moment. */
export interface ProvisionedState {
  /** Environments that there are, those that are being initialised included. */
  readonly allocated: number;
  /** Of those, the initialised ones, whether or not they have an invocation. */
  readonly available: number;
  /** Why there are not as many as configured, when the last attempt to start one failed. */
  readonly failure?: string;
}
