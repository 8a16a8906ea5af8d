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
