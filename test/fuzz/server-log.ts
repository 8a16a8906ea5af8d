/** Lines of the server's own log (JSON) that tell of a fault. */
export function faultsLogged(stderr: string): string[] {
  return stderr
    .split("\n")
    .filter((line) => line !== "" && (!line.startsWith("{") || line.includes('"level":"error"')));
}
