/** The states of an execution environment; environment.ts says what they mean. */
export type EnvironmentState =
  | "STARTING"
  | "INITIALISING"
  | "IDLE"
  | "BUSY"
  | "FROZEN"
  | "SHUTTING_DOWN"
  | "GONE";

/** Where each state may lead. */
export const TRANSITIONS: Readonly<Record<EnvironmentState, readonly EnvironmentState[]>> = {
  STARTING: ["INITIALISING", "SHUTTING_DOWN"],
  INITIALISING: ["IDLE", "SHUTTING_DOWN"],
  IDLE: ["BUSY", "FROZEN", "SHUTTING_DOWN"],
  BUSY: ["IDLE", "SHUTTING_DOWN"],
  FROZEN: ["IDLE", "SHUTTING_DOWN"],
  SHUTTING_DOWN: ["GONE"],
  GONE: [],
};
