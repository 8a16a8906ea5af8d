/**
 * PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency; and what all functions together have claimed of
 * the account's concurrency. A function claims what is reserved for it, or else what is provisioned for its versions.
 */
import type {
  DeleteFunctionConcurrencyRequest,
  GetFunctionConcurrencyRequest,
  GetFunctionConcurrencyResponse,
  PutFunctionConcurrencyCommandOutput,
  PutFunctionConcurrencyRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import { UNRESERVED_CONCURRENCY_MIN } from "../../limits.ts";
import type { OperationHandler } from "../../wire/service.ts";
import type { FunctionIndex } from "./function-index.ts";
import type { FunctionStore } from "./function-store.ts";
import { locateUnqualified } from "./locate.ts";
import { refuseManaged } from "./managed.ts";
import type { FunctionRecord } from "./records.ts";

/** The account's concurrency, and whose it is. Claims are checked and written one after the other. */
export class AccountConcurrency {
  readonly limit: number;
  readonly #index: FunctionIndex;
  #last: Promise<unknown> = Promise.resolve();

  constructor(limit: number, index: FunctionIndex) {
    this.limit = limit;
    this.#index = index;
  }

  /** What no function has claimed. */
  get unreserved(): number {
    let claimed = 0;
    for (const name of this.#index.names()) claimed += claimOf(this.#index.get(name)?.value);
    return Math.max(0, this.limit - claimed);
  }

  /** Accounts that are smaller than AWS's minimum keep all that they have, as on AWS. */
  get unreservedMin(): number {
    return Math.min(UNRESERVED_CONCURRENCY_MIN, this.limit);
  }

  /** Throws InvalidParameterValueException when `after` claims more than the account can spare. */
  checkClaim(before: FunctionRecord, after: FunctionRecord, member: string): void {
    const more = claimOf(after) - claimOf(before);
    if (more <= 0 || this.unreserved - more >= this.unreservedMin) return;
    throw invalidParameterValue(
      `Specified ${member} for function decreases account's UnreservedConcurrentExecution below its minimum value of [${this.unreservedMin}].`,
    );
  }

  /** Two claims of different functions must not both be given the last of it. */
  oneAtATime<T>(claim: () => Promise<T>): Promise<T> {
    const result = this.#last.then(claim);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

export function provisionedOf({ provisioned = [] }: FunctionRecord): number {
  return provisioned.reduce((sum, { count }) => sum + count, 0);
}

function claimOf(record: FunctionRecord | undefined): number {
  return record ? (record.reservedConcurrency ?? provisionedOf(record)) : 0;
}

export function concurrencyOperations(
  functions: FunctionStore,
  account: AccountConcurrency,
): Record<string, OperationHandler> {
  return {
    PutFunctionConcurrency(
      input: PutFunctionConcurrencyRequest,
      context,
    ): Promise<Omit<PutFunctionConcurrencyCommandOutput, "$metadata">> {
      const name = locateUnqualified(input.FunctionName, context, "PutFunctionConcurrency");
      const reserved = input.ReservedConcurrentExecutions ?? 0;
      return account.oneAtATime(async () => {
        await functions.change(name, (before) => {
          refuseManaged(before, "Reserved concurrency");
          const record = { ...before, reservedConcurrency: reserved };
          account.checkClaim(before, record, "ReservedConcurrentExecutions");
          const provisioned = provisionedOf(before);
          if (reserved < provisioned) {
            throw invalidParameterValue(
              `ReservedConcurrentExecutions  ${reserved} should not be lower than function's total provisioned concurrency [${provisioned}].`,
            );
          }
          return { record };
        });
        return { ReservedConcurrentExecutions: reserved };
      });
    },

    GetFunctionConcurrency(input: GetFunctionConcurrencyRequest, context): GetFunctionConcurrencyResponse {
      const name = locateUnqualified(input.FunctionName, context, "GetFunctionConcurrency");
      const { reservedConcurrency } = functions.require(name).value;
      return reservedConcurrency === undefined ? {} : { ReservedConcurrentExecutions: reservedConcurrency };
    },

    DeleteFunctionConcurrency(
      input: DeleteFunctionConcurrencyRequest,
      context,
    ): Promise<Record<string, never>> {
      const name = locateUnqualified(input.FunctionName, context, "DeleteFunctionConcurrency");
      return account.oneAtATime(async () => {
        await functions.change(name, (before) => {
          const { reservedConcurrency: _, ...record } = before;
          return { record };
        });
        return {};
      });
    },
  };
}
