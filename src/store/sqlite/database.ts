/** Opens the data folder: takes its lock, checks it after an unclean end, brings its schema up to date. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreFailure, StoreLocked } from "../store.ts";
import { MIGRATIONS } from "./migrations.ts";
import type { WorkerSettings } from "./protocol.ts";

const DATABASE_FILE = "hornero.db";
const LOCK_FILE = "hornero.lock";
const OWNER_FILE = "owner.json";

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
const SQLITE_IOERR = 10;

const PAGE_BYTES = 4096;
/** Page cache; the operating system caches the file besides. */
const CACHE_KIB = 8192;
/** The write-ahead log is folded back into the database after so many pages (16 MiB), and cut to that size. */
const CHECKPOINT_PAGES = 4096;
/** How long a write waits for an operator's own `sqlite3` session to let go of the database. */
const BUSY_TIMEOUT_MS = 5000;

export interface OpenDatabase {
  readonly database: DatabaseSync;
  /** Closes in order: database first, lock last. */
  close(): void;
}

/** Throws StoreLocked when another process owns the folder, StoreFailure when it cannot be used. */
export function openDatabase(settings: WorkerSettings): OpenDatabase {
  // The folder holds environment variables and credentials: nobody else's to read.
  mkdirSync(settings.directory, { recursive: true, mode: 0o700 });
  const lock = takeLock(settings.directory);
  let database: DatabaseSync | undefined;
  try {
    recordOwner(settings);
    const path = join(settings.directory, DATABASE_FILE);
    const unclean = leftUnclean(path);
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    configure(database, settings.databaseBytesMax);
    if (unclean) check(database, path);
    migrate(database, settings.nowMs);
    removeEmptyQueues(database);
  } catch (error) {
    database?.close();
    lock.close();
    throw explain(error, settings.directory);
  }
  const opened = database;
  return {
    database: opened,
    close() {
      opened.close();
      rmSync(join(settings.directory, OWNER_FILE), { force: true });
      lock.close();
    },
  };
}

/**
 * An exclusive SQLite transaction on a file of its own, held for life. It is a POSIX record lock, so the kernel drops it with the
 * process, however that ends: there is no stale lock to clean up. The database itself stays readable for an operator.
 */
function takeLock(directory: string): DatabaseSync {
  const lock = new DatabaseSync(join(directory, LOCK_FILE), { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    if (sqliteCode(error) === SQLITE_BUSY) throw new StoreLocked(lockedMessage(directory));
    throw explain(error, directory);
  }
}

function lockedMessage(directory: string): string {
  return (
    `the data folder ${directory} is in use by another Hornero${describeOwner(directory)}. Stop that one, ` +
    "or run a second one beside it with its own port and folder: npm start -- --port N --data DIR"
  );
}

/** For people only: the lock decides, this names its holder. Written just after the lock is taken, so it may be missing for a moment. */
function recordOwner(settings: WorkerSettings): void {
  const owner = { pid: process.pid, port: settings.port };
  writeFileSync(join(settings.directory, OWNER_FILE), JSON.stringify(owner));
}

function describeOwner(directory: string): string {
  try {
    const text = readFileSync(join(directory, OWNER_FILE), "utf8");
    const owner = JSON.parse(text) as { pid?: unknown; port?: unknown };
    const port = typeof owner.port === "number" ? `, port ${owner.port}` : "";
    return typeof owner.pid === "number" ? ` (process ${owner.pid}${port})` : "";
  } catch {
    // Not there yet, or half-written: the message does without.
    return "";
  }
}

/** An orderly close folds the write-ahead log into the database and removes it: one with content means that there was none. */
function leftUnclean(path: string): boolean {
  const log = `${path}-wal`;
  return existsSync(log) && statSync(log).size > 0;
}

function configure(database: DatabaseSync, databaseBytesMax: number): void {
  database.exec(`
    PRAGMA page_size = ${PAGE_BYTES};
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -${CACHE_KIB};
    PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
    PRAGMA journal_size_limit = ${CHECKPOINT_PAGES * PAGE_BYTES};
    PRAGMA foreign_keys = OFF;
    PRAGMA temp_store = MEMORY;
    PRAGMA max_page_count = ${Math.max(1, Math.floor(databaseBytesMax / PAGE_BYTES))};
  `);
}

function check(database: DatabaseSync, path: string): void {
  const findings = database.prepare("PRAGMA quick_check(5)").all();
  const texts = findings.map((row) => String(row["quick_check"]));
  if (texts.length === 1 && texts[0] === "ok") return;
  throw new StoreFailure(`the database ${path} is damaged: ${texts.join("; ")}`, { hint: damageHint(path) });
}

function migrate(database: DatabaseSync, nowMs: number): void {
  database.exec(
    "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_at_ms INTEGER NOT NULL) STRICT",
  );
  const row = database.prepare("SELECT coalesce(max(version), 0) AS version FROM migrations").get();
  const current = Number(row?.["version"]);
  const newest = MIGRATIONS.at(-1)?.version ?? 0;
  if (current > newest) {
    throw new StoreFailure(
      `the data is of schema ${current}, this version of Hornero knows up to ${newest}`,
      {
        hint: "start the newer version that wrote this folder, or use another folder",
      },
    );
  }
  const record = database.prepare("INSERT INTO migrations VALUES (?, ?)");
  for (const migration of MIGRATIONS) {
    if (migration.version <= current) continue;
    database.exec("BEGIN IMMEDIATE");
    try {
      database.exec(migration.sql);
      record.run(migration.version, nowMs);
      database.exec("COMMIT");
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** A queue's row is made by its first message and outlives its last; here is where unused ones go. */
function removeEmptyQueues(database: DatabaseSync): void {
  database.exec(`
    DELETE FROM queues WHERE
      NOT EXISTS (SELECT 1 FROM messages WHERE queue_id = queues.id AND ready = 1) AND
      NOT EXISTS (SELECT 1 FROM messages WHERE queue_id = queues.id AND ready = 0)
  `);
}

/** The primary result code of SQLite, or undefined for other errors. */
export function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error && "errcode" in error ? error.errcode : undefined;
  return typeof code === "number" ? code & 0xff : undefined;
}

/** What SQLite reports, in words that an operator can act on. Errors of our own pass through. */
export function explain(error: unknown, directory: string): Error {
  if (error instanceof StoreFailure || error instanceof StoreLocked) return error;
  const code = sqliteCode(error);
  const reason = error instanceof Error ? error.message : String(error);
  return new StoreFailure(`the database in ${directory} failed: ${reason}`, {
    hint: hintFor(code, directory),
    cause: error,
  });
}

function hintFor(code: number | undefined, directory: string): string | undefined {
  switch (code ?? 0) {
    case SQLITE_FULL:
      return `free space on the disk that holds ${directory}, or raise the database's size limit; reads go on meanwhile`;
    case SQLITE_IOERR:
      return `look for disk errors (dmesg) and free space on the disk that holds ${directory}`;
    case SQLITE_BUSY:
      return `another program holds ${join(directory, DATABASE_FILE)} open for writing: close it`;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return damageHint(join(directory, DATABASE_FILE));
    default:
      return undefined;
  }
}

function damageHint(path: string): string {
  return `move ${path} aside and restore a backup; \`sqlite3 ${path} .recover\` saves what is readable`;
}
