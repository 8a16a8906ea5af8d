/** Tells placement what is configured for the concurrency of each function, now and after each change. */
import { functionArn } from "../../kernel/arn.ts";
import type { FunctionConcurrency } from "../placement/concurrency.ts";
import type { FunctionIndex } from "./function-index.ts";
import { LATEST } from "./function-name.ts";
import type { FunctionRecord, ProvisionedRecord } from "./records.ts";

export interface ConcurrencyFeed {
  /** Calls back for each function that has settings, then for each whose settings may have changed. It must not throw. */
  subscribe(listener: (concurrency: FunctionConcurrency) => void): () => void;
}

export function concurrencyFeed(
  index: FunctionIndex,
  { region, accountId }: { region: string; accountId: string },
): ConcurrencyFeed {
  const read = (name: string): FunctionConcurrency => {
    const record = index.get(name)?.value;
    return {
      functionArn: functionArn(region, accountId, name),
      ...(record?.reservedConcurrency !== undefined && { reserved: record.reservedConcurrency }),
      provisioned: record ? provisionedVersions(index, record) : [],
    };
  };
  const hasSettings = (name: string) => {
    const record = index.get(name)?.value;
    return record?.reservedConcurrency !== undefined || record?.provisioned !== undefined;
  };
  return {
    subscribe(listener) {
      const told = new Set<string>();
      const tell = (name: string) => {
        if (hasSettings(name)) told.add(name);
        else if (!told.delete(name)) return;
        listener(read(name));
      };
      for (const name of index.names()) tell(name);
      return index.watch(tell);
    },
  };
}

function provisionedVersions(
  index: FunctionIndex,
  record: FunctionRecord,
): FunctionConcurrency["provisioned"] {
  const counts = new Map<string, number>();
  for (const config of record.provisioned ?? []) {
    for (const { version, count } of sharesOf(record, config))
      counts.set(version, (counts.get(version) ?? 0) + count);
  }
  return [...counts].flatMap(([number, count]) => {
    const version = index.invocable(record.name, number);
    return version && count > 0 ? [{ version, count }] : [];
  });
}

/** The versions that a configuration provides for: an alias's by its weights. */
export function sharesOf(
  { aliases }: FunctionRecord,
  { qualifier, count }: ProvisionedRecord,
): { readonly version: string; readonly count: number }[] {
  const alias = aliases.find(({ name }) => name === qualifier);
  if (!alias) return [{ version: qualifier, count }];
  if (alias.functionVersion === LATEST) return [];
  if (!alias.routing) return [{ version: alias.functionVersion, count }];
  const second = Math.round(count * alias.routing.weight);
  return [
    { version: alias.functionVersion, count: count - second },
    { version: alias.routing.version, count: second },
  ];
}
