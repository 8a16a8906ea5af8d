/** Function URLs by their ids, in memory: follows the function index, and thereby the store. */
import { functionArn } from "../../kernel/arn.ts";
import type { FunctionUrl, FunctionUrlDirectory } from "../urls/function-url.ts";
import type { FunctionIndex } from "./function-index.ts";
import { LATEST } from "./function-name.ts";

export class FunctionUrlIndex implements FunctionUrlDirectory {
  readonly #index: FunctionIndex;
  readonly #place: { readonly region: string; readonly accountId: string };
  readonly #byId = new Map<string, FunctionUrl>();
  readonly #idsOf = new Map<string, readonly string[]>();

  /** Before the index is opened: it is told of everything from then on. */
  constructor(index: FunctionIndex, place: { readonly region: string; readonly accountId: string }) {
    this.#index = index;
    this.#place = place;
    index.watch((name) => this.#read(name));
  }

  find(id: string): FunctionUrl | undefined {
    return this.#byId.get(id);
  }

  #read(name: string): void {
    for (const id of this.#idsOf.get(name) ?? []) this.#byId.delete(id);
    const urls = this.#index.get(name)?.value.urls;
    if (urls === undefined) {
      this.#idsOf.delete(name);
      return;
    }
    this.#idsOf.set(
      name,
      urls.map(({ id }) => id),
    );
    const { region, accountId } = this.#place;
    for (const { id, qualifier: stored, authType, invokeMode, cors } of urls) {
      const qualifier = stored === LATEST ? undefined : stored;
      const arn = functionArn(region, accountId, name, qualifier);
      this.#byId.set(id, {
        id,
        functionName: name,
        qualifier,
        functionArn: arn,
        authType,
        invokeMode,
        cors,
      });
    }
  }
}
