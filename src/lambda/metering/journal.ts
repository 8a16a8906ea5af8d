/**
 * A file of usage records that are not in the Store yet. Each record is written at once, with one write(2) on an open
 * file: 2 µs, and from then on the kernel has it, so that it survives the end of this process, however it comes.
 * Power is another matter: sync() is called once a second.
 *
 *   record   u16 length of what follows, u32 CRC-32 of the body, body; little-endian
 *   body     u8 kind, u32 number, then
 *     1 KEY    the usage key that the number stands for from here on, in UTF-8
 *     2 USE    u32 billed ms, u32 memory MB, u32 ephemeral storage over 512 MB
 */
import { closeSync, fdatasync, openSync, writeSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { addInvocation, newTotals, type Amounts, type UsageTotals } from "./usage.ts";

const KIND = { KEY: 1, USE: 2 } as const;
const HEADER_BYTES = 6;
const BODY_HEAD_BYTES = 5;
const USE_BYTES = HEADER_BYTES + BODY_HEAD_BYTES + 12;

const datasync = promisify(fdatasync);

interface Entry {
  readonly number: number;
  readonly totals: UsageTotals;
}

export class Journal {
  readonly sequence: number;
  readonly path: string;
  readonly #entries = new Map<string, Entry>();
  readonly #use = Buffer.alloc(USE_BYTES);
  #file: number | undefined;
  /** A write failed: what comes behind a torn record would not be read. */
  #broken = false;
  #unsynced = false;
  #syncing: Promise<void> = Promise.resolve();

  /** Makes the file. Throws when that fails. */
  constructor(directory: string, sequence: number) {
    this.sequence = sequence;
    this.path = `${directory}/${journalName(sequence)}`;
    this.#file = openSync(this.path, "w");
    this.#use[HEADER_BYTES] = KIND.USE;
    this.#use.writeUInt16LE(USE_BYTES - 2, 0);
  }

  /** How many keys it has totals of. */
  get size(): number {
    return this.#entries.size;
  }

  /** The sum of what was added, also of what could not be written. */
  totals(): [string, UsageTotals][] {
    return [...this.#entries].map(([key, { totals }]) => [key, totals]);
  }

  /**
   * Adds one invocation and writes it down. Throws what the disk throws, once: the amounts are in the totals even
   * then, but from then on nothing more is written.
   */
  add(key: string, amounts: Amounts): void {
    let entry = this.#entries.get(key);
    const isNew = entry === undefined;
    if (!entry) {
      entry = { number: this.#entries.size, totals: newTotals() };
      this.#entries.set(key, entry);
    }
    addInvocation(entry.totals, amounts);
    if (this.#file === undefined || this.#broken) return;
    try {
      if (isNew) this.#write(encodeKey(entry.number, key));
      this.#use.writeUInt32LE(entry.number, 7);
      this.#use.writeUInt32LE(amounts.billedMs, 11);
      this.#use.writeUInt32LE(amounts.memoryMb, 15);
      this.#use.writeUInt32LE(amounts.storageMb, 19);
      this.#use.writeUInt32LE(crc32(this.#use.subarray(HEADER_BYTES)), 2);
      this.#write(this.#use);
    } catch (error) {
      this.#broken = true;
      throw error;
    }
    this.#unsynced = true;
  }

  #write(record: Buffer): void {
    const written = writeSync(this.#file ?? -1, record, 0, record.length);
    if (written !== record.length)
      throw new Error(`wrote ${written} of ${record.length} bytes to ${this.path}`);
  }

  /** Makes what was added so far survive the loss of power. Rejects with what the disk says; may be tried again. */
  async sync(): Promise<void> {
    await Promise.allSettled([this.#syncing]);
    if (!this.#unsynced || this.#file === undefined) return;
    this.#unsynced = false;
    this.#syncing = datasync(this.#file);
    try {
      await this.#syncing;
    } catch (error) {
      this.#unsynced = true;
      throw error;
    }
  }

  /** Closes the file and deletes it. */
  async remove(): Promise<void> {
    await Promise.allSettled([this.#syncing]);
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    await rm(this.path, { force: true });
  }
}

export function journalName(sequence: number): string {
  return `${String(sequence).padStart(12, "0")}.journal`;
}

/** The sequence of a journal's file name; undefined for other files. */
export function parseJournalName(name: string): number | undefined {
  return /^\d{12}\.journal$/.test(name) ? Number.parseInt(name, 10) : undefined;
}

/** The totals of a journal that an earlier process left; the first record that is not whole and sound ends it. */
export async function readJournal(path: string): Promise<Map<string, UsageTotals>> {
  const data = await readFile(path);
  const totals = new Map<string, UsageTotals>();
  const keys = new Map<number, UsageTotals>();
  let at = 0;
  while (at + HEADER_BYTES + BODY_HEAD_BYTES <= data.length) {
    const end = at + 2 + data.readUInt16LE(at);
    const body = data.subarray(at + HEADER_BYTES, end);
    if (end > data.length || body.length < BODY_HEAD_BYTES || crc32(body) !== data.readUInt32LE(at + 2))
      break;
    const number = body.readUInt32LE(1);
    if (body[0] === KIND.KEY) {
      const sum = newTotals();
      keys.set(number, sum);
      totals.set(body.toString("utf8", BODY_HEAD_BYTES), sum);
    } else {
      const sum = keys.get(number);
      if (!sum) break;
      addInvocation(sum, {
        billedMs: body.readUInt32LE(5),
        memoryMb: body.readUInt32LE(9),
        storageMb: body.readUInt32LE(13),
      });
    }
    at = end;
  }
  return totals;
}

function encodeKey(number: number, key: string): Buffer {
  const text = Buffer.from(key);
  const record = Buffer.alloc(HEADER_BYTES + BODY_HEAD_BYTES + text.length);
  record.writeUInt16LE(record.length - 2, 0);
  record[HEADER_BYTES] = KIND.KEY;
  record.writeUInt32LE(number, HEADER_BYTES + 1);
  text.copy(record, HEADER_BYTES + BODY_HEAD_BYTES);
  record.writeUInt32LE(crc32(record.subarray(HEADER_BYTES)), 2);
  return record;
}
