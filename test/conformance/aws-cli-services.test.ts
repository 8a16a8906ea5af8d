/**
 * Goal: the AWS CLI works against IAM, STS, CloudWatch, Logs and the parts of Lambda that aws-cli.test.ts leaves out, with what is
 * the CLI's own: shorthand, files, skeletons, `--cli-input-json`, `--query`, its paging, its waiters, profiles that assume roles.
 * Method: the real `aws` of HORNERO_TEST_AWS_TOOLS, one process for each command, against a real server. What each operation
 * answers is boto3_*.py's business: both tools are the same library below.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AwsCli, EXIT } from "../support/aws-cli.ts";
import { awsTools, ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const tools = awsTools();
const skip = "reason" in tools ? tools.reason : false;
const ACCOUNT = "000000000000";
const BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";

const document = (statement: object) =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", ...statement }] });
/** How the CLI tells what a service refused. */
const error = (code: string, operation: string, message: string) =>
  new RegExp(`An error occurred \\(${code}\\) when calling the ${operation} operation: .*${message}`);

describe("the AWS CLI with the neighbours", { skip }, () => {
  let server: TestServer;
  let cli: AwsCli;
  before(async () => {
    server = await startTestServer();
    cli = new AwsCli(server);
    cli.write(
      "trust.json",
      document({ Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: "sts:AssumeRole" }),
    );
    cli.write("policy.json", document({ Action: "iam:ListUsers", Resource: "*" }));
  });
  after(async () => {
    await server.stop();
    await cli[Symbol.asyncDispose]();
  });

  test("a role: documents from files, the waiter, --query, a profile that assumes it", async () => {
    const role = "--role-name visitor";
    const { Role: made } = await cli.json(
      `iam create-role ${role} --assume-role-policy-document file://trust.json --tags Key=a,Value=b`,
    );
    assert.deepEqual((made as { Tags: unknown }).Tags, [{ Key: "a", Value: "b" }]);
    await cli.text(`iam wait role-exists ${role}`);
    await cli.text(`iam put-role-policy ${role} --policy-name p --policy-document file://policy.json`);
    await cli.text(`iam attach-role-policy ${role} --policy-arn ${BASIC}`);
    assert.equal(
      await cli.text(
        `iam list-attached-role-policies ${role} --query AttachedPolicies[].PolicyName --output text`,
      ),
      "AWSLambdaBasicExecutionRole",
    );
    // Documents come back decoded.
    assert.equal(
      await cli.text(
        `iam get-role-policy ${role} --policy-name p --query PolicyDocument.Statement[0].Action --output text`,
      ),
      "iam:ListUsers",
    );
    cli.write(
      "config",
      `[profile visitor]\nrole_arn = arn:aws:iam::${ACCOUNT}:role/visitor\ncredential_source = Environment\nrole_session_name = tour\n`,
    );
    cli.env["AWS_CONFIG_FILE"] = cli.path("config");
    assert.equal(
      await cli.text("sts get-caller-identity --profile visitor --query Arn --output text"),
      `arn:aws:sts::${ACCOUNT}:assumed-role/visitor/tour`,
    );
    assert.deepEqual(await cli.json("iam list-users --profile visitor"), { Users: [] });
    await cli.refused(
      EXIT.service,
      error("AccessDenied", "ListRoles", "is not authorized to perform: iam:ListRoles"),
      "iam list-roles --profile visitor",
    );
    await cli.refused(
      EXIT.service,
      error("DeleteConflict", "DeleteRole", "must detach all policies first\\.$"),
      `iam delete-role ${role}`,
    );
    await cli.refused(
      EXIT.service,
      error("NoSuchEntity", "GetRole", "The role with name nobody cannot be found\\.$"),
      "iam get-role --role-name nobody",
    );
  });

  test("a skeleton, filled in, is an input; pages go on from their token", async () => {
    const skeleton = await cli.json("iam create-user --generate-cli-skeleton");
    assert.ok("UserName" in skeleton && "Tags" in skeleton);
    for (const name of ["one", "two", "three"]) {
      cli.write("user.json", JSON.stringify({ UserName: name, Path: "/pages/" }));
      await cli.text("iam create-user --cli-input-json file://user.json");
    }
    const list = "iam list-users --path-prefix /pages/ --page-size 1 --max-items 2";
    const first = (await cli.json(list)) as { Users: { UserName: string }[]; NextToken: string };
    const rest = (await cli.json(list, "--starting-token", first.NextToken)) as typeof first;
    assert.deepEqual(
      [...first.Users, ...rest.Users].map(({ UserName }) => UserName),
      ["one", "three", "two"],
    );
    const key = await cli.json("iam create-access-key --user-name one --query AccessKey");
    cli.env["AWS_ACCESS_KEY_ID"] = String(key["AccessKeyId"]);
    cli.env["AWS_SECRET_ACCESS_KEY"] = String(key["SecretAccessKey"]);
    assert.equal(
      await cli.text("sts get-caller-identity --query Arn --output text"),
      `arn:aws:iam::${ACCOUNT}:user/pages/one`,
    );
    cli.env["AWS_SECRET_ACCESS_KEY"] = "wrong";
    await cli.refused(
      EXIT.service,
      error("SignatureDoesNotMatch", "GetSessionToken", "The request signature we calculated"),
      "sts get-session-token",
    );
    delete cli.env["AWS_ACCESS_KEY_ID"];
    delete cli.env["AWS_SECRET_ACCESS_KEY"];
  });

  test("sts assume-role: credentials from the answer", async () => {
    const session = await cli.json(
      `sts assume-role --role-arn arn:aws:iam::${ACCOUNT}:role/visitor --role-session-name word --query Credentials`,
    );
    assert.match(String(session["Expiration"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    await cli.refused(
      EXIT.service,
      error(
        "AccessDenied",
        "AssumeRole",
        "is not authorized to perform: sts:AssumeRole on resource: .*nobody",
      ),
      `sts assume-role --role-arn arn:aws:iam::${ACCOUNT}:role/nobody --role-session-name word`,
    );
  });

  test("metrics: shorthand, the CLI's own options, statistics by ISO times", async () => {
    await cli.text(
      "cloudwatch put-metric-data --namespace Birds --metric-data",
      "MetricName=Eggs,Value=3,Unit=Count,Dimensions=[{Name=Nest,Value=oak}]",
      "MetricName=Eggs,StatisticValues={SampleCount=2,Sum=5,Minimum=2,Maximum=3},Unit=Count,Dimensions=[{Name=Nest,Value=oak}]",
    );
    // One value by options that the CLI makes a datum of.
    await cli.text(
      "cloudwatch put-metric-data --namespace Birds --metric-name Eggs --value 4 --unit Count --dimensions Nest=oak",
    );
    assert.equal(
      await cli.text(
        "cloudwatch list-metrics --namespace Birds --query Metrics[].Dimensions[].Value --output text",
      ),
      "oak",
    );
    const at = (ms: number) => new Date(Math.floor((Date.now() + ms) / 60_000) * 60_000).toISOString();
    const range = `--start-time ${at(-600_000)} --end-time ${at(120_000)} --period 3600`;
    const sums = await cli.text(
      `cloudwatch get-metric-statistics --namespace Birds --metric-name Eggs --dimensions Name=Nest,Value=oak ${range}`,
      ..."--statistics Sum SampleCount --query sum(Datapoints[].Sum)".split(" "),
    );
    assert.equal(Number(sums), 12);
    await cli.refused(
      EXIT.service,
      error("InvalidParameterValue", "PutMetricData", "AWS/"),
      "cloudwatch put-metric-data --namespace AWS/Lambda --metric-name Errors --value 1",
    );
  });

  test("alarms: the waiter, a state by hand, tags", async () => {
    await cli.text(
      "cloudwatch put-metric-alarm --alarm-name eggs --namespace Birds --metric-name Eggs --dimensions Name=Nest,Value=oak",
      ..."--statistic Sum --period 60 --evaluation-periods 1 --threshold 10.5 --comparison-operator GreaterThanThreshold".split(
        " ",
      ),
    );
    await cli.text("cloudwatch wait alarm-exists --alarm-names eggs");
    await cli.text("cloudwatch set-alarm-state --alarm-name eggs --state-value ALARM --state-reason by-hand");
    assert.equal(
      await cli.text(
        "cloudwatch describe-alarms --alarm-names eggs --query MetricAlarms[].[StateValue,Threshold] --output text",
      ),
      "ALARM\t10.5",
    );
    const arn = `arn:aws:cloudwatch:us-east-1:${ACCOUNT}:alarm:eggs`;
    await cli.text(`cloudwatch tag-resource --resource-arn ${arn} --tags Key=a,Value=b`);
    assert.deepEqual(await cli.json(`cloudwatch list-tags-for-resource --resource-arn ${arn}`), {
      Tags: [{ Key: "a", Value: "b" }],
    });
    await cli.text("cloudwatch delete-alarms --alarm-names eggs");
    assert.deepEqual(await cli.json("cloudwatch describe-alarms --query MetricAlarms"), []);
    await cli.refused(
      EXIT.service,
      error("ResourceNotFound", "DeleteAlarms", ""),
      "cloudwatch delete-alarms --alarm-names eggs",
    );
  });

  test("logs: events by shorthand and from a file, patterns, retention", async () => {
    const stream = "--log-group-name /own --log-stream-name s";
    await cli.text("logs create-log-group --log-group-name /own --tags team=birds");
    await cli.text(`logs create-log-stream ${stream}`);
    const nowMs = Date.now();
    await cli.text(`logs put-log-events ${stream} --log-events timestamp=${nowMs},message=first`);
    cli.write("events.json", JSON.stringify([{ timestamp: nowMs + 1, message: '{"n": 2}' }]));
    await cli.text(`logs put-log-events ${stream} --log-events file://events.json`);
    assert.equal(
      await cli.text("logs filter-log-events --log-group-name /own --query events[].message --output text"),
      'first\t{"n": 2}',
    );
    const numbers = ["logs filter-log-events --log-group-name /own --filter-pattern", "{ $.n = 2 }"];
    assert.equal(await cli.text(...numbers, "--query", "events[].message", "--output", "text"), '{"n": 2}');
    await cli.text("logs put-retention-policy --log-group-name /own --retention-in-days 7");
    assert.equal(
      await cli.text(
        "logs describe-log-groups --query logGroups[].[logGroupName,retentionInDays] --output text",
      ),
      "/own\t7",
    );
    await cli.text("logs delete-log-group --log-group-name /own");
    await cli.refused(
      EXIT.service,
      error("ResourceNotFoundException", "FilterLogEvents", "The specified log group does not exist\\.$"),
      "logs filter-log-events --log-group-name /own",
    );
  });

  test("lambda: from a skeleton, a layer, an alias with weights, settings, a mapping", async () => {
    const skeleton = await cli.json("lambda create-function --generate-cli-skeleton");
    assert.ok("FunctionName" in skeleton && "Code" in skeleton);
    const input = {
      FunctionName: "made",
      Role: ROLE,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Publish: true,
    };
    cli.write("function.json", JSON.stringify(input));
    cli.write("code.zip", zipOf({ "index.js": "exports.handler = async () => 1;" }));
    cli.write("layer.zip", zipOf({ "file.txt": "x" }));
    await cli.text(
      "lambda create-function --cli-input-json file://function.json --zip-file fileb://code.zip",
    );
    await cli.text("lambda wait published-version-active --function-name made --qualifier 1");
    const layer = await cli.text(
      "lambda publish-layer-version --layer-name texts --zip-file fileb://layer.zip --query LayerVersionArn --output text",
    );
    await cli.text("lambda update-function-configuration --function-name made --layers", layer);
    await cli.text("lambda wait function-updated-v2 --function-name made");
    await cli.text("lambda publish-version --function-name made");
    await cli.text(
      "lambda create-alias --function-name made --name live --function-version 1 --routing-config AdditionalVersionWeights={2=0.25}",
    );
    assert.deepEqual(
      await cli.json("lambda get-alias --function-name made --name live --query RoutingConfig"),
      {
        AdditionalVersionWeights: { 2: 0.25 },
      },
    );
    await cli.text(
      "lambda put-function-event-invoke-config --function-name made --maximum-retry-attempts 0 --qualifier live",
    );
    await cli.text(
      "lambda add-permission --function-name made:live --statement-id s --action lambda:InvokeFunction --principal s3.amazonaws.com",
    );
    assert.match(
      await cli.text("lambda get-policy --function-name made:live --query Policy --output text"),
      /"Sid":"s"/,
    );
    cli.write("filters.json", JSON.stringify({ Filters: [{ Pattern: '{"body": {"kind": ["order"]}}' }] }));
    const mapping = await cli.json(
      `lambda create-event-source-mapping --function-name made --event-source-arn arn:aws:sqs:us-east-1:${ACCOUNT}:q`,
      ..."--batch-size 5 --filter-criteria file://filters.json".split(" "),
    );
    assert.deepEqual([mapping["BatchSize"], mapping["State"]], [5, "Creating"]);
    await cli.text("lambda delete-event-source-mapping --uuid", String(mapping["UUID"]));
    await cli.refused(
      EXIT.service,
      error("ResourceConflictException", "DeleteFunction", "the following aliases reference it: \\[live\\]$"),
      "lambda delete-function --function-name made --qualifier 1",
    );
  });
});
