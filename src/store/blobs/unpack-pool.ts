/** A few threads that unpack, started when needed and let go when idle. */
import { Worker } from "node:worker_threads";
import { BoundedQueue } from "../../kernel/bounded-queue.ts";
import type { Clock } from "../../kernel/clock.ts";
import { programFile } from "../../kernel/package-folder.ts";
import { StoreClosed, StoreFailure, StoreOverloaded } from "../store.ts";
import type { ZipJob, ZipResult } from "./unpack-worker.ts";

/** Unpacking is disk and one core each; more threads would only take memory. */
const THREADS_MAX = 2;
const WAITING_MAX = 256;
const IDLE_MS_MAX = 10_000;
/** yauzl streams: only the directory of the zip is held, at most ZIP_ENTRIES_MAX entries. */
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 256 };

interface Task {
  readonly job: ZipJob;
  resolve(result: ZipResult): void;
  reject(error: Error): void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
  cancelIdle: () => void;
}

export class UnpackPool {
  readonly #clock: Clock;
  readonly #waiting = new BoundedQueue<Task>(WAITING_MAX);
  readonly #threads = new Set<Thread>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects with StoreOverloaded, StoreClosed, or StoreFailure when the thread died. */
  run(job: ZipJob): Promise<ZipResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) reject(new StoreClosed());
      else if (this.#waiting.push({ job, resolve, reject })) this.#assign();
      else reject(new StoreOverloaded(`${WAITING_MAX} zips wait to be unpacked already`));
    });
  }

  /** Stops the threads; nothing may be under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
  }

  /** Gives the oldest waiting task to a thread that is free, or to a new one. */
  #assign(): void {
    const thread = [...this.#threads].find(({ task }) => task === undefined) ?? this.#start();
    if (thread !== undefined) this.#occupy(thread);
  }

  #occupy(thread: Thread): void {
    thread.cancelIdle();
    thread.task = this.#waiting.shift();
    if (thread.task === undefined) {
      thread.cancelIdle = this.#clock.after(IDLE_MS_MAX, () => void this.#end(thread));
      return;
    }
    thread.worker.ref();
    post(thread.worker, thread.task.job);
  }

  #start(): Thread | undefined {
    if (this.#threads.size === THREADS_MAX) return undefined;
    const worker = new Worker(programFile("store/blobs/unpack-worker"), {
      name: "unpack",
      resourceLimits: THREAD_LIMITS,
    });
    const thread: Thread = { worker, task: undefined, cancelIdle: () => undefined };
    worker.on("message", (result: ZipResult) => {
      this.#settle(thread, (task) => task.resolve(result));
      this.#occupy(thread);
    });
    worker.on("error", (cause) => this.#lose(thread, cause));
    worker.on("exit", (code) => this.#lose(thread, new Error(`the thread ended with code ${code}`)));
    this.#threads.add(thread);
    return thread;
  }

  #settle(thread: Thread, how: (task: Task) => void): void {
    const { task } = thread;
    thread.task = undefined;
    thread.worker.unref();
    if (task !== undefined) how(task);
  }

  /** The thread is gone, with whatever it was doing; the next task gets another one. */
  #lose(thread: Thread, cause: Error): void {
    if (!this.#threads.delete(thread)) return;
    thread.cancelIdle();
    this.#settle(thread, (task) => {
      task.reject(new StoreFailure(`unpacking a zip failed: ${cause.message}`, { cause }));
    });
    if (this.#waiting.size > 0) this.#assign();
  }

  async #end(thread: Thread): Promise<void> {
    this.#threads.delete(thread);
    thread.cancelIdle();
    await thread.worker.terminate();
  }
}

function post(worker: Worker, job: ZipJob): void {
  if (job.type === "unpack") {
    worker.postMessage(job, []);
    return;
  }
  // A copy, made no sooner than a thread has it: the caller keeps its bytes, and what waits costs nothing more.
  const zip = new Uint8Array(job.zip);
  worker.postMessage({ ...job, zip }, [zip.buffer]);
}
