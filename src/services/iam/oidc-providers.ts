/** OpenID Connect providers: whose tokens AssumeRoleWithWebIdentity takes. */
import type {
  AddClientIDToOpenIDConnectProviderRequest,
  CreateOpenIDConnectProviderRequest,
  UpdateOpenIDConnectProviderThumbprintRequest,
} from "@aws-sdk/client-iam";
import type { OidcProviderRecord } from "../../iam/directory/records.ts";
import { wholeSeconds } from "../../iam/whole-seconds.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { OIDC_PROVIDERS_MAX, tagList, tagsOf, type IamContext } from "./context.ts";
import { alreadyExists, invalidInput, limitExceeded, noSuchEntity, validation } from "./errors.ts";

/** [IAM quotas] */
const CLIENT_IDS_MAX = 100;
const THUMBPRINTS_MAX = 5;

export function findOidcProvider({ directory }: IamContext, arn: string): OidcProviderRecord {
  const url = arn.slice(arn.indexOf(":oidc-provider/") + ":oidc-provider/".length);
  const provider = directory.oidcProviders.get(url);
  if (!provider || directory.oidcProviderArn(provider.url) !== arn)
    throw noSuchEntity(`OpenIDConnect Provider not found for arn ${arn}`);
  return provider;
}

interface Named {
  readonly OpenIDConnectProviderArn?: string;
}

export function oidcProviderOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory } = iam;
  const { oidcProviders } = directory;
  const edit = (arn: string | undefined, change: (provider: OidcProviderRecord) => OidcProviderRecord) =>
    directory.write(() => {
      const provider = change(findOidcProvider(iam, arn ?? ""));
      if (provider.clientIds.length > CLIENT_IDS_MAX)
        throw limitExceeded(`Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: ${CLIENT_IDS_MAX}`);
      return { changes: [oidcProviders.replacing(provider)], result: {} };
    });
  return {
    CreateOpenIDConnectProvider: (input: CreateOpenIDConnectProviderRequest) =>
      directory.write(() => {
        const provider = newProvider(iam, input);
        const Tags = tagList(provider.tags);
        const OpenIDConnectProviderArn = directory.oidcProviderArn(provider.url);
        return { changes: [oidcProviders.adding(provider)], result: { OpenIDConnectProviderArn, Tags } };
      }),
    GetOpenIDConnectProvider: ({ OpenIDConnectProviderArn = "" }: Named) => {
      const provider = findOidcProvider(iam, OpenIDConnectProviderArn);
      return {
        Url: provider.url,
        ClientIDList: provider.clientIds,
        ThumbprintList: provider.thumbprints,
        CreateDate: wholeSeconds(provider.createdAtMs),
        Tags: tagList(provider.tags),
      };
    },
    ListOpenIDConnectProviders: () => ({
      OpenIDConnectProviderList: oidcProviders
        .values()
        .map(({ url }) => ({ Arn: directory.oidcProviderArn(url) })),
    }),
    AddClientIDToOpenIDConnectProvider: (input: AddClientIDToOpenIDConnectProviderRequest) =>
      edit(input.OpenIDConnectProviderArn, (provider) => ({
        ...provider,
        clientIds: [...new Set([...provider.clientIds, input.ClientID ?? ""])],
      })),
    RemoveClientIDFromOpenIDConnectProvider: (input: AddClientIDToOpenIDConnectProviderRequest) =>
      edit(input.OpenIDConnectProviderArn, (provider) => ({
        ...provider,
        clientIds: provider.clientIds.filter((id) => id !== input.ClientID),
      })),
    UpdateOpenIDConnectProviderThumbprint: (input: UpdateOpenIDConnectProviderThumbprintRequest) =>
      edit(input.OpenIDConnectProviderArn, (provider) => ({
        ...provider,
        thumbprints: input.ThumbprintList ?? [],
      })),
    DeleteOpenIDConnectProvider: ({ OpenIDConnectProviderArn = "" }: Named) =>
      directory.write(() => {
        const { url } = findOidcProvider(iam, OpenIDConnectProviderArn);
        return { changes: [oidcProviders.deleting(url)], result: {} };
      }),
  };
}

function newProvider(
  { directory }: IamContext,
  input: CreateOpenIDConnectProviderRequest,
): OidcProviderRecord {
  const { Url = "", ClientIDList = [], ThumbprintList = [] } = input;
  // AWS wants https; a provider on this very machine, for tests, may do without.
  if (!URL.canParse(Url) || !/^https?:$/.test(new URL(Url).protocol))
    throw validation("Invalid Open ID Connect Provider URL");
  if (ThumbprintList.length > THUMBPRINTS_MAX)
    throw invalidInput(`Thumbprint list must contain fewer than ${THUMBPRINTS_MAX} entries.`);
  if (ClientIDList.length > CLIENT_IDS_MAX)
    throw limitExceeded(`Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: ${CLIENT_IDS_MAX}`);
  const url = Url.replace(/^https?:\/\//, "").replace(/\/$/, "");
  if (directory.oidcProviders.get(url)) throw alreadyExists(`Provider with url ${Url} already exists.`);
  if (directory.oidcProviders.size >= OIDC_PROVIDERS_MAX)
    throw limitExceeded(`Cannot exceed quota for OpenIdConnectProvidersPerAccount: ${OIDC_PROVIDERS_MAX}`);
  return {
    url,
    clientIds: ClientIDList,
    thumbprints: ThumbprintList,
    createdAtMs: directory.clock.nowMs(),
    tags: tagsOf(input.Tags),
  };
}
