/**
 * The schema's history: numbered steps, each applied once, in order, in a transaction of its own. A step that was
 * released is never edited; a change is a new step.
 */
export interface Migration {
  readonly version: number;
  readonly sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    // `counters` has one row: the last revision and the last message sequence that were given out, so that neither is
    // ever given twice, whatever was deleted since.
    //
    // A message is `ready` (1) when receive may take it and waits (0) for `visible_at_ms` otherwise: delayed, or leased.
    // receive turns due ones ready first. Each state has its own partial index, so that neither a long backlog nor many
    // leased messages at the head of the queue make a call scan what it does not return.
    // `lease` is the receive count whose receipt still acknowledges; 0: none does.
    // Bodies stand apart because an UPDATE rewrites its whole row: a lease must not rewrite a megabyte.
    sql: `
      CREATE TABLE counters (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        revision INTEGER NOT NULL,
        sequence INTEGER NOT NULL
      ) STRICT;
      INSERT INTO counters VALUES (1, 0, 0);

      CREATE TABLE records (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (kind, key)
      ) STRICT;

      CREATE TABLE queues (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
      ) STRICT;

      CREATE TABLE messages (
        sequence INTEGER PRIMARY KEY,
        queue_id INTEGER NOT NULL,
        ready INTEGER NOT NULL,
        visible_at_ms INTEGER NOT NULL,
        enqueued_at_ms INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0,
        lease INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      CREATE INDEX messages_ready ON messages (queue_id, sequence) WHERE ready = 1;
      CREATE INDEX messages_waiting ON messages (queue_id, visible_at_ms) WHERE ready = 0;

      CREATE TABLE message_bodies (
        sequence INTEGER PRIMARY KEY,
        body BLOB NOT NULL
      ) STRICT;
    `,
  },
];
