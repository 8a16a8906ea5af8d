import { accessDenied } from "../errors.ts";
import type { Match } from "../wire/protocol.ts";
import type { RequestContext } from "../wire/service.ts";
import type { Principal } from "./principal.ts";

/** Decides whether a principal may do what a request asks for: after the signature held, before the handler runs. */
export interface Authorizer {
  /** Returns when it may; throws AwsError (AccessDenied in AWS's words) when it may not. `input` has the model's names. */
  authorize(
    principal: Principal,
    match: Match,
    input: Record<string, unknown>,
    context: RequestContext,
  ): void;
}

/**
 * Lets everybody in who proved who they are, whatever their policies say. For `--auth none` and for servers that have
 * one user; it holds nobody to a role.
 */
export const allowAuthenticated: Authorizer = {
  authorize(principal, match) {
    if (principal.kind === "anonymous") {
      throw accessDenied(
        `Anonymous users cannot invoke the ${match.operation} operation of ${match.service}.`,
      );
    }
  },
};
