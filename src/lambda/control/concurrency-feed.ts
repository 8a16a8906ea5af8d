/** Tells placement what is configured for the concurrency of each function, now and after each change. */
import { functionArn } from "../../kernel/arn.ts";
import type { FunctionConcurrency, ManagedScaling } from "../placement/concurrency.ts";
import type { CapacityProviders } from "./capacity-provider-store.ts";
import type { FunctionIndex } from "./function-index.ts";
import { LATEST } from "./function-name.ts";
import { vcpusOf, versionsOn } from "./managed.ts";
import type { FunctionRecord, ProvisionedRecord } from "./records.ts";
import { boundsOf } from "./scaling-config.ts";

export interface ConcurrencyFeed {
  /** Calls back for each function that has settings, then for each whose settings may have changed. It must not throw. */
  subscribe(listener: (concurrency: FunctionConcurrency) => void): () => void;
}

export function concurrencyFeed(
  index: FunctionIndex,
  providers: CapacityProviders,
  { region, accountId }: { region: string; accountId: string },
): ConcurrencyFeed {
  const read = (name: string): FunctionConcurrency => {
    const record = index.get(name)?.value;
    return {
      functionArn: functionArn(region, accountId, name),
      ...(record?.reservedConcurrency !== undefined && { reserved: record.reservedConcurrency }),
      provisioned: record ? provisionedVersions(index, record) : [],
      ...(record?.latest.settings.managed && { managed: managedVersions(index, providers, record) }),
    };
  };
  const hasSettings = (name: string) => {
    const record = index.get(name)?.value;
    if (record?.latest.settings.managed && record.versions.length > 0) return true;
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
      const unwatch = [
        index.watch(tell),
        providers.watch((provider) => {
          for (const name of new Set(versionsOn(index, provider).map((version) => version.name))) tell(name);
        }),
      ];
      return () => unwatch.forEach((stop) => stop());
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

function managedVersions(
  index: FunctionIndex,
  providers: CapacityProviders,
  record: FunctionRecord,
): ManagedScaling[] {
  return record.versions.flatMap((number) => {
    const version = index.invocable(record.name, number);
    const stored = index.version(record.name, number)?.value;
    const managed = stored?.settings.managed;
    const provider = managed && providers.get(managed.provider)?.value;
    if (!version || !provider) return [];
    const requested = record.scaling?.find(({ qualifier }) => qualifier === number);
    const vcpus = vcpusOf(version.memoryMb, managed);
    return [{ version, ...boundsOf(stored, requested, providers), vcpus, provider }];
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
