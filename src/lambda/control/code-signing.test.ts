/**
 * Goal: the nine operations of code signing, and what a configuration lets into a function: code and layers, created and updated.
 * Method: a control room over a memory store with profiles in the test's hands; zips signed here by certificates made here.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type {
  CodeSigningConfig,
  FunctionConfiguration,
  GetLayerVersionResponse,
  ListCodeSigningConfigsResponse,
  ListFunctionsByCodeSigningConfigResponse,
} from "@aws-sdk/client-lambda";
import { zipSync } from "fflate";
import type { MetricsSink } from "../../telemetry/metrics.ts";
import type { SigningProfile } from "../signing/profiles.ts";
import { SIGNATURE_FILE } from "../signing/signature.ts";
import { DAY_MS, JOB_ARN, newIdentity, PROFILE_ARN, signedBy } from "../signing/testing.ts";
import type { SignatureWarning } from "./code-signing.ts";
import { arnOf, awsError, createInput, openFixture, type Fixture } from "./fixture.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 18);
const GONE = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000";
const OTHER_PROFILE = PROFILE_ARN.replace("acme", "other");
const signer = newIdentity("signer", { validFromMs: NOW_MS - DAY_MS, validToMs: NOW_MS + DAY_MS });
const stranger = newIdentity("stranger", { validFromMs: NOW_MS - DAY_MS, validToMs: NOW_MS + DAY_MS });
const plain = zipSync({ "index.js": Buffer.from("exports.handler = async () => 1;") });
const signed = await signedBy(plain, [signer], { signedMs: NOW_MS });
const broken = zipSync({ "index.js": Buffer.from("changed"), [SIGNATURE_FILE]: Buffer.from("signed") });
const expired = await signedBy(plain, [signer], { signedMs: NOW_MS, expiresMs: NOW_MS });
const foreign = await signedBy(plain, [stranger], { signedMs: NOW_MS });

const REFUSED =
  "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not configured to accept. Check the provided signature for";

interface Scene extends Fixture {
  readonly warnings: SignatureWarning[];
  readonly counted: unknown[][];
  readonly profiles: Map<string, SigningProfile>;
  /** Makes a configuration that allows PROFILE_ARN; answers its ARN. */
  readonly config: (policy?: "Warn" | "Enforce", members?: object) => Promise<string>;
  readonly createSigned: (
    name: string,
    config: string,
    zip: Uint8Array,
    members?: object,
  ) => Promise<FunctionConfiguration>;
}

async function scene(context: TestContext): Promise<Scene> {
  const warnings: SignatureWarning[] = [];
  const counted: unknown[][] = [];
  const metrics: MetricsSink = { count: (...told) => void counted.push(told) };
  const profile = {
    arn: PROFILE_ARN,
    certificates: [signer.certificate.toString()],
    addedMs: 0,
    revokedJobArns: [],
  };
  const profiles = new Map<string, SigningProfile>([[PROFILE_ARN, profile]]);
  const fixture = await openFixture({
    signingProfiles: { find: (arn) => Promise.resolve(profiles.get(arn)) },
    metrics,
    onSignatureWarning: (warning) => warnings.push(warning),
  });
  context.after(() => fixture.control.close());
  const config = async (policy?: "Warn" | "Enforce", members: object = {}) => {
    const { CodeSigningConfig: made } = await fixture.call<{ CodeSigningConfig: CodeSigningConfig }>(
      "CreateCodeSigningConfig",
      {
        AllowedPublishers: { SigningProfileVersionArns: [PROFILE_ARN] },
        ...(policy && { CodeSigningPolicies: { UntrustedArtifactOnDeployment: policy } }),
        ...members,
      },
    );
    return made.CodeSigningConfigArn ?? "";
  };
  const createSigned = async (name: string, arn: string, zip: Uint8Array, members: object = {}) => {
    await fixture.call("CreateFunction", {
      ...createInput(name),
      Code: { ZipFile: zip },
      CodeSigningConfigArn: arn,
      ...members,
    });
    return fixture.settled(name);
  };
  return { ...fixture, warnings, counted, profiles, config, createSigned };
}

describe("code signing configurations", () => {
  test("are made with defaults, changed, got, and deleted", async (context) => {
    const { call, clock, config } = await scene(context);
    const arn = await config(undefined, { Description: "ours", Tags: { team: "a" } });
    assert.match(arn, /^arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-[0-9a-f]{17}$/);
    const expected = {
      CodeSigningConfigId: arn.slice(arn.lastIndexOf(":") + 1),
      CodeSigningConfigArn: arn,
      Description: "ours",
      AllowedPublishers: { SigningProfileVersionArns: [PROFILE_ARN] },
      CodeSigningPolicies: { UntrustedArtifactOnDeployment: "Warn" },
      LastModified: "2026-11-23T18:00:00.000+0000",
    };
    assert.deepEqual(await call("GetCodeSigningConfig", { CodeSigningConfigArn: arn }), {
      CodeSigningConfig: expected,
    });
    clock.advance(1000);
    const changed = {
      ...expected,
      CodeSigningPolicies: { UntrustedArtifactOnDeployment: "Enforce" },
      LastModified: "2026-11-23T18:00:01.000+0000",
    };
    const update = { CodeSigningConfigArn: arn, CodeSigningPolicies: changed.CodeSigningPolicies };
    assert.deepEqual(await call("UpdateCodeSigningConfig", update), { CodeSigningConfig: changed });
    const publishers = { SigningProfileVersionArns: [OTHER_PROFILE] };
    assert.deepEqual(
      await call("UpdateCodeSigningConfig", {
        CodeSigningConfigArn: arn,
        AllowedPublishers: publishers,
        Description: "",
      }),
      { CodeSigningConfig: { ...changed, AllowedPublishers: publishers, Description: "" } },
    );
    assert.deepEqual(await call("DeleteCodeSigningConfig", { CodeSigningConfigArn: arn }), {});
    for (const operation of [
      "GetCodeSigningConfig",
      "UpdateCodeSigningConfig",
      "DeleteCodeSigningConfig",
      "ListFunctionsByCodeSigningConfig",
    ]) {
      await assert.rejects(
        call(operation, { CodeSigningConfigArn: arn }),
        awsError(
          "ResourceNotFoundException",
          `The Lambda code signing configuration ${arn} can not be found.`,
          404,
        ),
      );
    }
  });

  test("one of another account is none", async (context) => {
    const { call, config } = await scene(context);
    const arn = (await config()).replace("000000000000", "111111111111");
    await assert.rejects(
      call("GetCodeSigningConfig", { CodeSigningConfigArn: arn }),
      awsError("ResourceNotFoundException", /can not be found/),
    );
  });

  test("have tags, which authorisation sees", async (context) => {
    const { call, config, control } = await scene(context);
    const arn = await config(undefined, { Tags: { team: "a" } });
    await call("TagResource", { Resource: arn, Tags: { stage: "test" } });
    await call("UntagResource", { Resource: arn, TagKeys: ["team"] });
    assert.deepEqual(await call("ListTags", { Resource: arn }), { Tags: { stage: "test" } });
    assert.deepEqual(control.facts.tags?.tagsOf(arn), { stage: "test" });
    await assert.rejects(
      call("ListTags", { Resource: GONE }),
      awsError("ResourceNotFoundException", /can not be found/),
    );
  });

  test("are listed in pages, and so are the functions that have one", async (context) => {
    const { call, config, create } = await scene(context);
    const arns = [await config(), await config(), await config()].sort();
    const listed: string[] = [];
    for (let Marker: string | undefined, first = true; first || Marker !== undefined; first = false) {
      const page: ListCodeSigningConfigsResponse = await call("ListCodeSigningConfigs", {
        Marker,
        MaxItems: 2,
      });
      listed.push(...(page.CodeSigningConfigs ?? []).map((each) => each.CodeSigningConfigArn ?? ""));
      Marker = page.NextMarker;
    }
    assert.deepEqual(listed, arns);
    const [arn = ""] = arns;
    for (const name of ["one", "two", "three"]) {
      await create(name);
      await call("PutFunctionCodeSigningConfig", { FunctionName: name, CodeSigningConfigArn: arn });
    }
    await create("four");
    const list = (members: object) =>
      call<ListFunctionsByCodeSigningConfigResponse>("ListFunctionsByCodeSigningConfig", {
        CodeSigningConfigArn: arn,
        ...members,
      });
    const first = await list({ MaxItems: 2 });
    assert.deepEqual(first.FunctionArns, [arnOf("one"), arnOf("three")]);
    assert.deepEqual((await list({ Marker: first.NextMarker })).FunctionArns, [arnOf("two")]);
  });
});

describe("a function's configuration", () => {
  test("is put, got, replaced and taken away; none is no error", async (context) => {
    const { call, config, create } = await scene(context);
    await create("fn");
    assert.deepEqual(await call("GetFunctionCodeSigningConfig", { FunctionName: "fn" }), {});
    const [one, two] = [await config(), await config()];
    for (const arn of [one, two]) {
      const put = { FunctionName: arnOf("fn"), CodeSigningConfigArn: arn };
      const shown = { FunctionName: "fn", CodeSigningConfigArn: arn };
      assert.deepEqual(await call("PutFunctionCodeSigningConfig", put), shown);
      assert.deepEqual(await call("GetFunctionCodeSigningConfig", { FunctionName: "fn" }), shown);
    }
    await call("DeleteFunctionCodeSigningConfig", { FunctionName: "fn" });
    await call("DeleteFunctionCodeSigningConfig", { FunctionName: "fn" });
    assert.deepEqual(await call("GetFunctionCodeSigningConfig", { FunctionName: "fn" }), {});
  });

  test("must be there, and so must the function", async (context) => {
    const { call, config, create } = await scene(context);
    await create("fn");
    const gone = awsError(
      "CodeSigningConfigNotFoundException",
      `The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${GONE}.`,
      404,
    );
    const put = { FunctionName: "fn", CodeSigningConfigArn: GONE };
    await assert.rejects(call("PutFunctionCodeSigningConfig", put), gone);
    await assert.rejects(call("CreateFunction", { ...createInput("new"), CodeSigningConfigArn: GONE }), gone);
    const missing = awsError("ResourceNotFoundException", `Function not found: ${arnOf("none")}`, 404);
    const none = { FunctionName: "none", CodeSigningConfigArn: await config() };
    for (const operation of ["Put", "Get", "Delete"])
      await assert.rejects(call(`${operation}FunctionCodeSigningConfig`, none), missing);
    await assert.rejects(
      call("PutFunctionCodeSigningConfig", { ...none, FunctionName: `${arnOf("fn")}:1` }),
      awsError("InvalidParameterValueException", /functions only/),
    );
  });

  test("is not deleted while a function has it, not even by a request at the same moment", async (context) => {
    const { call, config, create } = await scene(context);
    await create("fn");
    const arn = await config();
    const put = call("PutFunctionCodeSigningConfig", { FunctionName: "fn", CodeSigningConfigArn: arn });
    const inUse = awsError("ResourceConflictException", /functions use it, fn among them/, 409);
    await assert.rejects(call("DeleteCodeSigningConfig", { CodeSigningConfigArn: arn }), inUse);
    await put;
    const remove = call("DeleteFunction", { FunctionName: "fn" });
    await remove;
    await call("DeleteCodeSigningConfig", { CodeSigningConfigArn: arn });
  });

  test("is not for container images", async (context) => {
    const { call, config } = await scene(context);
    await assert.rejects(
      call("CreateFunction", {
        ...createInput("image"),
        PackageType: "Image",
        Code: { ImageUri: "000000000000.dkr.ecr.us-east-1.amazonaws.com/image:latest" },
        CodeSigningConfigArn: await config(),
      }),
      awsError(
        "InvalidParameterValueException",
        "Code signing is not supported for functions created with container images.",
      ),
    );
  });
});

describe("code that is deployed", () => {
  test("signed as it should be is taken, and shows who signed it", async (context) => {
    const { config, createSigned, call, warnings, counted } = await scene(context);
    const shown = await createSigned("fn", await config("Enforce"), signed);
    assert.equal(shown.SigningProfileVersionArn, PROFILE_ARN);
    assert.equal(shown.SigningJobArn, JOB_ARN);
    await call("UpdateFunctionCode", { FunctionName: "fn", ZipFile: signed, Publish: true });
    const version = await call("GetFunctionConfiguration", { FunctionName: "fn", Qualifier: "1" });
    assert.equal(version.SigningJobArn, JOB_ARN);
    assert.deepEqual([warnings, counted], [[], []]);
  });

  const untrusted: [string, Uint8Array, RegExp, ((scene: Scene) => void)?][] = [
    ["not signed", plain, /not signed/],
    ["expired", expired, /expired/],
    ["signed by somebody else in the profile's name", foreign, /no certificate/],
    ["of a profile that is not registered", signed, /not registered/, ({ profiles }) => profiles.clear()],
    [
      "of a revoked signature",
      signed,
      /was revoked/,
      ({ profiles }) => {
        for (const [arn, profile] of profiles) profiles.set(arn, { ...profile, revokedJobArns: [JOB_ARN] });
      },
    ],
  ];
  for (const [what, zip, reason, prepare] of untrusted) {
    test(`${what} is refused under Enforce and stored nowhere; under Warn it is taken and told`, async (context) => {
      const here = await scene(context);
      prepare?.(here);
      const { config, createSigned, call, blobs, warnings, counted } = here;
      const [enforce, warn] = [await config("Enforce"), await config("Warn")];
      const refused = (name: string) =>
        awsError("CodeVerificationFailedException", `${REFUSED} ${name}.`, 400);
      await assert.rejects(createSigned("no", enforce, zip), refused("no"));
      assert.equal(blobs.zips.size, 0);
      await assert.rejects(
        call("GetFunction", { FunctionName: "no" }),
        awsError("ResourceNotFoundException", /./),
      );
      await createSigned("fn", warn, zip);
      await call("PutFunctionCodeSigningConfig", { FunctionName: "fn", CodeSigningConfigArn: enforce });
      await assert.rejects(
        call("UpdateFunctionCode", { FunctionName: arnOf("fn"), ZipFile: zip }),
        refused(arnOf("fn")),
      );
      assert.deepEqual(
        warnings.map(({ functionName, refused: was }) => [functionName, was]),
        [
          ["no", true],
          ["fn", false],
          ["fn", true],
        ],
      );
      for (const warning of warnings) assert.match(warning.reason, reason);
      assert.deepEqual(
        counted,
        ["no", "fn", "fn"].map((functionName) => ["SignatureValidationErrors", { functionName }, 1, "Count"]),
      );
    });
  }

  test("changed after it was signed is refused under Warn too", async (context) => {
    const { config, createSigned, call, blobs, warnings } = await scene(context);
    const refused = (name: string) =>
      awsError(
        "InvalidCodeSignatureException",
        `Lambda cannot deploy the function. The code signature failed the integrity check. Check the provided signature for ${name}.`,
        400,
      );
    const arn = await config("Warn");
    await assert.rejects(createSigned("fn", arn, broken), refused("fn"));
    assert.equal(blobs.zips.size, 0);
    await createSigned("fn", arn, signed);
    await assert.rejects(call("UpdateFunctionCode", { FunctionName: "fn", ZipFile: broken }), refused("fn"));
    assert.equal(warnings.length, 2);
  });

  test("is not looked at without a configuration, and shows no signature that nobody vouches for", async (context) => {
    const { create, call, warnings } = await scene(context);
    for (const [name, zip] of Object.entries({ plain, broken, foreign })) {
      const shown = await create(name, { Code: { ZipFile: zip } });
      assert.equal(shown.SigningJobArn, undefined, name);
    }
    assert.equal((await create("signed", { Code: { ZipFile: signed } })).SigningJobArn, JOB_ARN);
    await call("UpdateFunctionCode", { FunctionName: "signed", ZipFile: plain });
    assert.deepEqual(warnings, []);
  });

  test("runs on when the function gets a configuration; only settings may change then", async (context) => {
    const { config, create, call, settled } = await scene(context);
    await create("fn");
    await call("PutFunctionCodeSigningConfig", {
      FunctionName: "fn",
      CodeSigningConfigArn: await config("Enforce"),
    });
    await call("UpdateFunctionConfiguration", { FunctionName: "fn", Timeout: 9 });
    assert.equal((await settled("fn")).Timeout, 9);
    await call("PublishVersion", { FunctionName: "fn" });
  });

  test("is not written when the configuration changes while it is checked", async (context) => {
    const { config, create, call, profiles } = await scene(context);
    await create("fn");
    const arn = await config("Enforce");
    let attached: Promise<unknown> | undefined;
    const profile = profiles.get(PROFILE_ARN);
    // The look for the profile comes between the look for the configuration and the write.
    profiles.get = () => {
      attached ??= call("PutFunctionCodeSigningConfig", { FunctionName: "fn", CodeSigningConfigArn: arn });
      return profile;
    };
    await assert.rejects(
      call("UpdateFunctionCode", { FunctionName: "fn", ZipFile: foreign }),
      awsError("ResourceConflictException", /An update is in progress/),
    );
    await attached;
  });
});

describe("layers", () => {
  async function publish({ call }: Fixture, zip: Uint8Array): Promise<GetLayerVersionResponse> {
    return call("PublishLayerVersion", { LayerName: "layer", Content: { ZipFile: zip } });
  }

  test("show who signed them, also in the functions that have them", async (context) => {
    const here = await scene(context);
    const { Content, LayerVersionArn: arn } = await publish(here, signed);
    assert.equal(Content?.SigningProfileVersionArn, PROFILE_ARN);
    assert.equal(Content?.SigningJobArn, JOB_ARN);
    const { Layers } = await here.create("fn", { Layers: [arn] });
    assert.equal(Layers?.[0]?.SigningProfileVersionArn, PROFILE_ARN);
    assert.equal(Layers?.[0]?.SigningJobArn, JOB_ARN);
    assert.equal((await publish(here, broken)).Content?.SigningJobArn, undefined);
  });

  test("that are given to a function with a configuration are held to it", async (context) => {
    const here = await scene(context);
    const { config, createSigned, call, settled, warnings } = here;
    const [good, bad, unsigned] = [
      (await publish(here, signed)).LayerVersionArn ?? "",
      (await publish(here, broken)).LayerVersionArn ?? "",
      (await publish(here, plain)).LayerVersionArn ?? "",
    ];
    const enforce = await config("Enforce");
    const refused = awsError("CodeVerificationFailedException", `${REFUSED} ${unsigned}.`);
    await assert.rejects(createSigned("no", enforce, signed, { Layers: [unsigned] }), refused);
    await createSigned("fn", enforce, signed, { Layers: [good] });
    await assert.rejects(
      call("UpdateFunctionConfiguration", { FunctionName: "fn", Layers: [unsigned] }),
      refused,
    );
    const invalid = awsError("InvalidCodeSignatureException", /failed the integrity check/);
    const layers = (...Layers: string[]) =>
      call("UpdateFunctionConfiguration", { FunctionName: "fn", Layers });
    await assert.rejects(layers(bad), invalid);
    await call("PutFunctionCodeSigningConfig", {
      FunctionName: "fn",
      CodeSigningConfigArn: await config("Warn"),
    });
    await assert.rejects(layers(bad), invalid);
    const before = warnings.length;
    await layers(unsigned);
    assert.deepEqual(
      warnings.slice(before).map(({ subject, refused: was }) => [subject, was]),
      [[unsigned, false]],
    );
    assert.equal((await settled("fn")).Layers?.[0]?.Arn, unsigned);
  });
});
