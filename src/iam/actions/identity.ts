/** IAM and STS: entities by name and path, policies by ARN, roles to assume. */
import { textOf, type Access, type Input, type Place } from "./access.ts";

type Entity = "user" | "role" | "group" | "instance-profile";

const NAMES: readonly (readonly [string, Entity])[] = [
  ["RoleName", "role"],
  ["GroupName", "group"],
  ["UserName", "user"],
  ["InstanceProfileName", "instance-profile"],
];
/** Operations about the caller when they name nobody. */
const OWN =
  /^(GetUser|ListAccessKeys|CreateAccessKey|UpdateAccessKey|DeleteAccessKey|GetAccessKeyLastUsed|ListMFADevices|ListSSHPublicKeys|ListSigningCertificates|ListServiceSpecificCredentials|ChangePassword)$/;

export function iamResources(operation: string, input: Input, place: Place): readonly string[] {
  const arn = textOf(input, "PolicyArn", "PolicySourceArn", "OpenIDConnectProviderArn", "SAMLProviderArn");
  const iam = (resource: string) => `arn:${place.partition}:iam::${place.accountId}:${resource}`;
  const path = textOf(input, "Path") ?? "/";
  if (operation === "CreatePolicy") return [iam(`policy${path}${textOf(input, "PolicyName") ?? ""}`)];
  if (operation === "CreateServiceLinkedRole")
    return [iam(`role/aws-service-role/${textOf(input, "AWSServiceName") ?? ""}/*`)];
  if (operation === "CreateOpenIDConnectProvider")
    return [iam(`oidc-provider/${(textOf(input, "Url") ?? "").replace(/^https?:\/\//, "")}`)];
  // Profiles first: AddRoleToInstanceProfile names a role, too.
  const profile = textOf(input, "InstanceProfileName");
  if (profile !== undefined && !operation.startsWith("Create"))
    return [place.entities.arnOf("instance-profile", profile)];
  for (const [member, kind] of NAMES) {
    const name = textOf(input, member);
    if (name === undefined) continue;
    if (operation.startsWith("Create") && isCreated(operation, kind)) return [iam(`${kind}${path}${name}`)];
    return [place.entities.arnOf(kind, name)];
  }
  if (arn !== undefined) return [arn];
  return [OWN.test(operation) ? place.callerArn : "*"];
}

function isCreated(operation: string, kind: Entity): boolean {
  return (
    operation ===
    `Create${kind === "instance-profile" ? "InstanceProfile" : kind.charAt(0).toUpperCase() + kind.slice(1)}`
  );
}

export function iamKeys(input: Input): Record<string, readonly string[]> {
  const keys: Record<string, readonly string[]> = {};
  const members: Readonly<Record<string, string>> = {
    PolicyArn: "iam:policyarn",
    PermissionsBoundary: "iam:permissionsboundary",
    AWSServiceName: "iam:awsservicename",
  };
  for (const [member, key] of Object.entries(members)) {
    const value = textOf(input, member);
    if (value !== undefined) keys[key] = [value];
  }
  return keys;
}

/** A profile hands its role on to EC2. */
export function iamExtras(operation: string, input: Input, place: Place): readonly Access[] {
  if (operation !== "AddRoleToInstanceProfile") return [];
  const role = textOf(input, "RoleName");
  if (role === undefined) return [];
  const keys = { "iam:passedtoservice": ["ec2.amazonaws.com"] };
  return [{ action: "iam:PassRole", resource: place.entities.arnOf("role", role), keys }];
}

export function stsResources(operation: string, input: Input, place: Place): readonly string[] {
  const role = textOf(input, "RoleArn");
  if (role !== undefined) return [role];
  if (operation === "GetFederationToken")
    return [`arn:${place.partition}:sts::${place.accountId}:federated-user/${textOf(input, "Name") ?? ""}`];
  return ["*"];
}

export function stsKeys(input: Input): Record<string, readonly string[]> {
  const keys: Record<string, readonly string[]> = {};
  const members: Readonly<Record<string, string>> = {
    ExternalId: "sts:externalid",
    RoleSessionName: "sts:rolesessionname",
    SourceIdentity: "sts:sourceidentity",
    DurationSeconds: "sts:durationseconds",
  };
  for (const [member, key] of Object.entries(members)) {
    const value = input[member];
    if (typeof value === "string" || typeof value === "number") keys[key] = [String(value)];
  }
  const transitive = input["TransitiveTagKeys"];
  if (Array.isArray(transitive)) keys["sts:transitivetagkeys"] = transitive.map(String);
  return keys;
}
