/** The generated files of models/data, each read once and only when it is needed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../../kernel/assert.ts";
import { PACKAGE_FOLDER } from "../../kernel/package-folder.ts";
import type { ModelData, ModelIndex, ServiceMetadata } from "./data.ts";
import { ServiceModel } from "./shapes.ts";

const DATA = join(PACKAGE_FOLDER, "models", "data");

const loaded = new Map<string, ServiceModel>();
let index: ModelIndex | undefined;

/** A service's metadata, without loading its model. */
export function serviceMetadata(service: string): ServiceMetadata {
  index ??= JSON.parse(readFileSync(join(DATA, "index.json"), "utf8")) as ModelIndex;
  const metadata = Object.hasOwn(index, service) ? index[service] : undefined;
  assert(metadata, `there is a model of ${service}`);
  return metadata;
}

/** A service's model. Reads a file the first time: 1 to 3 ms. */
export function loadModel(service: string): ServiceModel {
  let model = loaded.get(service);
  if (model === undefined) {
    serviceMetadata(service);
    const data = JSON.parse(readFileSync(join(DATA, `${service}.json`), "utf8")) as ModelData;
    model = new ServiceModel(service, data);
    loaded.set(service, model);
  }
  return model;
}
