/** Functions that do whatever the event says: the attacks of the suite are texts that they run. */

/** Runs `event.code` as the body of an async function; what it returns is the answer. */
export const NODE_AGENT = `
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const AsyncFunction = (async () => {}).constructor;
export const handler = (event, context) => new AsyncFunction("event", "context", "require", event.code)(event, context, require);
`;

/**
 * Runs `event.code`; its variable `result` is the answer. `call(number, …)` makes a raw system call and answers its result
 * or the name of its errno; `attempt(f, …)` answers what f returns or the name of its OSError, and so do `put` and `get`.
 */
export const PYTHON_AGENT = `
import ctypes, errno, glob, json, os, signal, socket, struct, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    ctypes.set_errno(0)
    words = [a if isinstance(a, (bytes, ctypes.Array, ctypes.Structure)) or a is None else ctypes.c_long(a) for a in arguments]
    value = libc.syscall(ctypes.c_long(number), *words)
    return errno.errorcode[ctypes.get_errno()] if value == -1 else value

def attempt(f, *arguments):
    try:
        return f(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

def put(path, text):
    def write():
        with open(path, "wb", buffering=0) as file:
            return file.write(text.encode())
    return attempt(write)

def get(path):
    return attempt(lambda: open(path, errors="replace").read())

def handler(event, context):
    scope = {**globals(), "event": event, "context": context}
    exec(event["code"], scope)
    return scope.get("result")
`;

/** A custom runtime in bash: `event.code` is a script in base64, and what it writes is the answer. */
export const BASH_BOOTSTRAP = `#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while :; do
  event=$(curl -sS -D /tmp/head "$api/invocation/next")
  id=$(tr -d '\\r' < /tmp/head | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //Ip')
  script=$(printf %s "$event" | sed -n 's/.*"code":"\\([A-Za-z0-9+/=]*\\)".*/\\1/p' | base64 -d)
  export api id
  bash -c "$script" > /tmp/answer 2>&1
  curl -sS -X POST --data-binary @/tmp/answer "$api/invocation/$id/response" > /dev/null
done
`;
