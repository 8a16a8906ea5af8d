/** IAM and STS tell times to the second: a fraction would be more than AWS's clients print and compare. */
export function wholeSeconds(atMs: number): Date {
  return new Date(Math.floor(atMs / 1000) * 1000);
}
