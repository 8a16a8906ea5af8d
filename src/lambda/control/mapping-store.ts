/** How event source mappings change in the store: one of each pair of source and function, each change one transaction. */
import { type AwsError, resourceConflict, resourceNotFound } from "../../errors.ts";
import { RevisionConflict, type Change, type Store, type StoredRecord } from "../../store/store.ts";
import { MAPPING_KIND, MAPPING_PAIR_KIND, pairKey, type MappingRecord } from "../sources/mapping.ts";
import { retryConflicts } from "./retry.ts";

/** Throws ResourceConflictException when the pair is mapped already. */
export async function insertMapping(store: Store, record: MappingRecord): Promise<void> {
  try {
    await store.write([
      { op: "put", kind: MAPPING_KIND, key: record.uuid, value: record, expect: "absent" },
      { op: "put", kind: MAPPING_PAIR_KIND, key: pairKey(record), value: record.uuid, expect: "absent" },
    ]);
  } catch (error) {
    if (error instanceof RevisionConflict) throw await alreadyMapped(store, record);
    throw error;
  }
}

async function alreadyMapped(store: Store, record: MappingRecord): Promise<AwsError> {
  const { kind, sourceArn = "self-managed", functionName } = record;
  const other = await store.get<string>(MAPPING_PAIR_KIND, pairKey(record));
  const pair =
    kind === "sqs"
      ? `An event source mapping with SQS arn (" ${sourceArn} ") and function (" ${functionName} ") already exists.`
      : `The event source arn (" ${sourceArn} ") and function (" ${functionName} ") provided mapping already exists.`;
  return resourceConflict(
    `${pair} Please update or delete the existing mapping with UUID ${other?.value ?? "(gone meanwhile)"}`,
  );
}

/** Changes a mapping; `decide` is called again for each race it loses, and may throw AwsError. */
export function changeMapping(
  store: Store,
  uuid: string | undefined,
  decide: (before: MappingRecord) => MappingRecord,
): Promise<{ before: MappingRecord; after: MappingRecord }> {
  return retryConflicts(
    async () => {
      const { value: before, revision } = await requireMapping(store, uuid);
      const after = decide(before);
      try {
        await store.write([
          { op: "put", kind: MAPPING_KIND, key: before.uuid, value: after, expect: revision },
          ...pairChanges(before, after),
        ]);
      } catch (error) {
        if (error instanceof RevisionConflict && error.kind === MAPPING_PAIR_KIND) {
          throw await alreadyMapped(store, after);
        }
        throw error;
      }
      return { before, after };
    },
    () => tooManyChanges(uuid),
  );
}

/** Deletes a mapping and frees its pair. Resolves with what was there; throws ResourceNotFoundException. */
export function removeMapping(store: Store, uuid: string | undefined): Promise<MappingRecord> {
  return retryConflicts(
    async () => {
      const { value, revision } = await requireMapping(store, uuid);
      // Under the revision that named the pair: an update that moved the mapping meanwhile has another one.
      await store.write([
        { op: "delete", kind: MAPPING_KIND, key: value.uuid, expect: revision },
        { op: "delete", kind: MAPPING_PAIR_KIND, key: pairKey(value) },
      ]);
      return value;
    },
    () => tooManyChanges(uuid),
  );
}

function pairChanges(before: MappingRecord, after: MappingRecord): Change[] {
  const [oldPair, newPair] = [pairKey(before), pairKey(after)];
  if (oldPair === newPair) return [];
  return [
    { op: "delete", kind: MAPPING_PAIR_KIND, key: oldPair },
    { op: "put", kind: MAPPING_PAIR_KIND, key: newPair, value: before.uuid, expect: "absent" },
  ];
}

function tooManyChanges(uuid: string | undefined): AwsError {
  return resourceConflict(`The event source mapping ${uuid} is being changed by too many requests.`);
}

/** Throws ResourceNotFoundException. */
export async function requireMapping(
  store: Store,
  uuid: string | undefined,
): Promise<StoredRecord<MappingRecord>> {
  const stored = await store.get<MappingRecord>(MAPPING_KIND, uuid ?? "");
  if (!stored) throw resourceNotFound("The resource you requested does not exist.");
  return stored;
}
