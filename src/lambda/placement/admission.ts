/**
 * Admission: how many invocations may run at once, and how many may begin in a second. What is over a limit is refused at
 * once with 429 and its reason, as on AWS; nothing queues.
 *
 * The account's concurrency A is divided up. A function with reserved concurrency R has R of it, used or not: a guarantee and
 * a ceiling for all its versions together. A version with provisioned concurrency P has P out of its function's R, or out of
 * A when its function has none. What nobody has claimed is the unreserved pool:
 *
 *   pool = A − Σ R − Σ P of functions without R
 *
 * An invocation of a version is within its P while fewer than P of the version run; beyond, it is one of the R − ΣP of its
 * function, or one of the pool. So the account's total is never above A, and what one function has cannot be used up by
 * another. When settings change under load, what runs goes on and counts where it now belongs: until it ends, A is kept by
 * refusing whoever comes.
 *
 * Requests per second are ten times each of those numbers; those of the asynchronous queue are not counted.
 */
import { tooManyRequests, type ThrottleReason } from "../../errors.ts";
import { REQUESTS_PER_S_PER_CONCURRENCY, SCALING_BURST, SCALING_MS } from "../../limits.ts";
import { RateLimit, type Rate } from "./rate-limit.ts";

/** What is configured for one function. */
export interface ConcurrencySettings {
  /** Unqualified. */
  readonly functionArn: string;
  /** Of all versions together; absent: none is reserved. */
  readonly reserved?: number;
  /** By version. */
  readonly provisioned: ReadonlyMap<string, number>;
}

export interface AdmissionOptions {
  readonly accountConcurrency: number;
  /** Requests that may begin in a second for each unit of concurrency; Infinity: as many as come. Default: 10, as on AWS. */
  readonly requestsPerSecond?: number;
  /** How fast a function may have environments started. Default: a thousand, and a hundred more in each second, as on AWS. */
  readonly scaling?: Rate;
}

/** What runs of one version. Placement hands it in again when an invocation ends. */
export interface VersionAccount {
  readonly of: FunctionAccount;
  readonly version: string;
  running: number;
  provisioned: number;
  readonly requests: RateLimit;
  /** Invocations within provisioned concurrency, and beyond it, since somebody last looked; only while there is some. */
  within: number;
  spilled: number;
  /** Deleted: goes with its last invocation. */
  isForgotten: boolean;
}

export interface FunctionAccount {
  readonly functionArn: string;
  reserved: number | undefined;
  /** Of all versions. */
  provisioned: number;
  running: number;
  /** The most that ran at once since somebody last looked. */
  peak: number;
  /** Of those that run, the ones that are not within their version's provisioned concurrency. */
  beyond: number;
  readonly requests: RateLimit;
  /** Environments that are started. */
  readonly scaling: RateLimit;
  readonly versions: Map<string, VersionAccount>;
}

export class Admission {
  readonly #accountMax: number;
  readonly #requestsPerSecond: number;
  readonly #scaling: Rate;
  readonly #functions = new Map<string, FunctionAccount>();
  readonly #requests = new RateLimit();
  #running = 0;
  /** The most that ran at once since somebody last looked. */
  #peak = 0;
  /** Of what runs, what uses the unreserved pool. */
  #unreserved = 0;
  /** Σ R + Σ P of functions without R. */
  #claimed = 0;

  constructor(options: AdmissionOptions) {
    this.#accountMax = options.accountConcurrency;
    this.#requestsPerSecond = options.requestsPerSecond ?? REQUESTS_PER_S_PER_CONCURRENCY;
    this.#scaling = options.scaling ?? { intervalMs: SCALING_MS / SCALING_BURST, burst: SCALING_BURST };
  }

  get running(): number {
    return this.#running;
  }

  /** Invocations of functions without reserved concurrency that are beyond what is provisioned for them. */
  get unreserved(): number {
    return this.#unreserved;
  }

  /** What cannot be had on demand: the unreserved pool's share in use, and all that is reserved or provisioned. */
  get claimed(): number {
    return this.#unreserved + this.#claimed;
  }

  /** The most that ran at once since the last call. */
  takePeak(): number {
    const peak = this.#peak;
    this.#peak = this.#running;
    return peak;
  }

  /** Functions that run, are expected to, or have settings. */
  get functions(): ReadonlyMap<string, FunctionAccount> {
    return this.#functions;
  }

  /** Where invocations of a version are counted; the same one until it is forgotten. */
  account(functionArn: string, version: string): VersionAccount {
    const of = this.#function(functionArn);
    let account = of.versions.get(version);
    if (!account) {
      const requests = new RateLimit();
      account = {
        of,
        version,
        running: 0,
        provisioned: 0,
        requests,
        within: 0,
        spilled: 0,
        isForgotten: false,
      };
      of.versions.set(version, account);
    }
    account.isForgotten = false;
    return account;
  }

  /**
   * Counts one in, or throws TooManyRequestsException with its Reason. On the hot path: constant time. `nowMs` is monotonic;
   * `isRateLimited`: its request counts as one of this second.
   */
  enter(account: VersionAccount, nowMs: number, isRateLimited: boolean): void {
    const { of } = account;
    const isWithin = account.running < account.provisioned;
    if (!isWithin && !this.#hasRoom(of)) throw tooManyRequests(concurrencyReason(of));
    if (this.#running >= this.#accountMax) throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    if (isRateLimited) this.#takeRequest(account, nowMs, isWithin);
    account.running += 1;
    of.running += 1;
    this.#running += 1;
    if (of.running > of.peak) of.peak = of.running;
    if (this.#running > this.#peak) this.#peak = this.#running;
    if (account.provisioned > 0) account[isWithin ? "within" : "spilled"] += 1;
    if (isWithin) return;
    of.beyond += 1;
    if (of.reserved === undefined) this.#unreserved += 1;
  }

  leave(account: VersionAccount): void {
    const { of } = account;
    account.running -= 1;
    of.running -= 1;
    this.#running -= 1;
    if (account.running >= account.provisioned) {
      of.beyond -= 1;
      if (of.reserved === undefined) this.#unreserved -= 1;
    }
    if (account.isForgotten) this.#drop(account);
  }

  /** Whether the function may have one more environment started now; counts it. */
  mayStart({ of }: VersionAccount, nowMs: number): boolean {
    return of.scaling.take(nowMs, this.#scaling);
  }

  /** The error for an invocation that no environment may be started for. */
  scalesTooFast({ of }: VersionAccount): Error {
    return tooManyRequests(rateReason(of));
  }

  /** What is configured from now on, in place of what was. */
  configure({ functionArn, reserved, provisioned }: ConcurrencySettings): void {
    if (reserved === undefined && provisioned.size === 0 && !this.#functions.has(functionArn)) return;
    const of = this.#function(functionArn);
    this.#uncount(of);
    of.reserved = reserved;
    for (const account of of.versions.values()) account.provisioned = 0;
    for (const [version, count] of provisioned) this.account(functionArn, version).provisioned = count;
    [of.provisioned, of.beyond] = [0, 0];
    for (const account of of.versions.values()) {
      of.provisioned += account.provisioned;
      of.beyond += Math.max(0, account.running - account.provisioned);
    }
    this.#count(of);
    this.#dropFunction(of);
  }

  /** The version is no more: what still runs of it counts until it ends. */
  forget(functionArn: string, version: string): void {
    const account = this.#functions.get(functionArn)?.versions.get(version);
    if (!account) return;
    account.isForgotten = true;
    this.#drop(account);
  }

  #function(functionArn: string): FunctionAccount {
    let of = this.#functions.get(functionArn);
    if (!of) {
      of = {
        functionArn,
        reserved: undefined,
        provisioned: 0,
        running: 0,
        peak: 0,
        beyond: 0,
        requests: new RateLimit(),
        scaling: new RateLimit(),
        versions: new Map(),
      };
      this.#functions.set(functionArn, of);
    }
    return of;
  }

  /** Beyond what is provisioned. */
  #hasRoom(of: FunctionAccount): boolean {
    return of.reserved === undefined
      ? this.#unreserved < this.#accountMax - this.#claimed
      : of.beyond < of.reserved - of.provisioned;
  }

  /** Within what is provisioned, and when that is used up, of the function's reserved concurrency or of the pool. */
  #takeRequest(account: VersionAccount, nowMs: number, isWithin: boolean): void {
    const { of } = account;
    if (isWithin && account.requests.take(nowMs, this.#rate(account.provisioned))) return;
    if (of.reserved === undefined) {
      if (this.#requests.take(nowMs, this.#rate(this.#accountMax - this.#claimed))) return;
      throw tooManyRequests(isWithin ? rateReason(of) : "CallerRateLimitExceeded");
    }
    if (of.requests.take(nowMs, this.#rate(of.reserved - of.provisioned))) return;
    throw tooManyRequests(rateReason(of));
  }

  /** So many requests in a second; at the most one second's at once. */
  #rate(concurrency: number): Rate {
    const perSecond = Math.max(0, concurrency) * this.#requestsPerSecond;
    return { intervalMs: 1000 / perSecond, burst: perSecond };
  }

  #count(of: FunctionAccount): void {
    this.#claimed += of.reserved ?? of.provisioned;
    if (of.reserved === undefined) this.#unreserved += of.beyond;
  }

  #uncount(of: FunctionAccount): void {
    this.#claimed -= of.reserved ?? of.provisioned;
    if (of.reserved === undefined) this.#unreserved -= of.beyond;
  }

  #drop(account: VersionAccount): void {
    const { of, version } = account;
    if (account.running > 0 || account.provisioned > 0) return;
    if (of.versions.get(version) === account) of.versions.delete(version);
    this.#dropFunction(of);
  }

  #dropFunction(of: FunctionAccount): void {
    if (of.versions.size === 0 && of.reserved === undefined) this.#functions.delete(of.functionArn);
  }
}

function concurrencyReason({ reserved }: FunctionAccount): ThrottleReason {
  return reserved === undefined
    ? "ConcurrentInvocationLimitExceeded"
    : "ReservedFunctionConcurrentInvocationLimitExceeded";
}

function rateReason({ reserved }: FunctionAccount): ThrottleReason {
  return reserved === undefined
    ? "FunctionInvocationRateLimitExceeded"
    : "ReservedFunctionInvocationRateLimitExceeded";
}
