"use strict";
/**
 * Several invocations at a time, on Managed Instances: their handlers interleave on one event loop. Each runs in an async context
 * of its own, from which its log lines and `awslambda.InvokeStore` know whose they are.
 */
const { AsyncLocalStorage } = require("node:async_hooks");
const { Invocation, Invoker } = require("./invocation.cjs");
const { carry } = require("./logging.cjs");

const REQUEST_ID = Symbol.for("_AWS_LAMBDA_REQUEST_ID");
const TRACE_ID = Symbol.for("_AWS_LAMBDA_X_RAY_TRACE_ID");
const TENANT_ID = Symbol.for("_AWS_LAMBDA_TENANT_ID");
const PROTECTED = new Set([REQUEST_ID, TRACE_ID, TENANT_ID]);

/** What libraries ask for what belongs to one invocation (as @aws/lambda-invoke-store does, which looks for it here). */
class InvokeStore {
  #contexts = new AsyncLocalStorage();

  run(context, fn) {
    return this.#contexts.run(context, fn);
  }

  getContext() {
    return this.#contexts.getStore();
  }

  hasContext() {
    return this.getContext() !== undefined;
  }

  get(key) {
    return this.getContext()?.[key];
  }

  set(key, value) {
    if (PROTECTED.has(key)) throw new Error(`Cannot modify protected Lambda context field: ${String(key)}`);
    const context = this.getContext();
    if (!context) throw new Error("No context available");
    context[key] = value;
  }

  getRequestId() {
    return this.get(REQUEST_ID) ?? "-";
  }

  getXRayTraceId() {
    return this.get(TRACE_ID);
  }

  getTenantId() {
    return this.get(TENANT_ID);
  }
}

class ConcurrentInvoker {
  #invoker;
  #store = new InvokeStore();
  #open = new Set();

  constructor(handler) {
    this.#invoker = new Invoker(handler, undefined, { isConcurrent: true });
    carry(() => {
      const context = this.#store.getContext();
      return context && { requestId: context[REQUEST_ID], tenantId: context[TENANT_ID] };
    });
    if (globalThis.awslambda) globalThis.awslambda.InvokeStore = this.#store;
  }

  /** What ends this process ends all that run in it. */
  get running() {
    const open = [...this.#open];
    return open.length === 0 ? undefined : { die: (error) => open.forEach((one) => one.die(error)) };
  }

  onEmptyLoop() {}

  /** `body` is valid only during the call: it is parsed before anything else happens. */
  invoke(body) {
    const eventAt = 4 + body.readUInt32LE(0);
    const head = JSON.parse(body.toString("utf8", 4, eventAt));
    const text = body.toString("utf8", eventAt);
    // The link always keeps the process alive: an event may come at any time, whatever the handlers wait for.
    const socket = { unref() {}, ref: () => this.#open.delete(invocation) };
    const invocation = new Invocation(head.requestId, socket);
    this.#open.add(invocation);
    const context = {
      [REQUEST_ID]: head.requestId,
      [TRACE_ID]: head.traceHeader,
      [TENANT_ID]: head.tenantId,
    };
    this.#store.run(context, () => this.#invoker.start(invocation, head, text));
  }
}

module.exports = { ConcurrentInvoker };
