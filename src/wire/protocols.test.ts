/**
 * Goal: a request finds the operation that it means, and errors have the form that each protocol's clients read.
 * Method: tables of requests as real clients send them, against the real models of all services.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { AwsError, resourceNotFound, tooManyRequests, validationError } from "../errors.ts";
import { INVOKE_REQUEST_BYTES_MAX } from "../limits.ts";
import type { Match, WireRequest, WireResponse } from "./protocol.ts";
import { createProtocols } from "./protocols.ts";

const SERVICES = [
  ...["lambda", "logs", "sts", "iam", "sqs", "sns", "s3", "dynamodb", "dynamodbstreams", "kinesis", "events"],
  ...["scheduler", "apigateway", "apigatewayv2", "cloudwatch", "iot-data"],
];

const protocols = createProtocols(SERVICES);

/** `METHOD path?query`, with headers and body. */
function requestOf(line: string, headers: Record<string, string> = {}, body = ""): WireRequest {
  const [method = "", target = ""] = line.split(" ");
  const [path = "", query = ""] = target.split("?");
  return { method, path, query, headers, body: Buffer.from(body) };
}

function find(request: WireRequest, signingName: string | undefined): Match | undefined {
  const match = protocols.match(request, signingName);
  return match && protocols.resolve(match, request);
}

function mustFind(request: WireRequest, signingName: string | undefined): Match {
  const match = find(request, signingName);
  assert(match, `${request.method} ${request.path} matches`);
  return match;
}

const FORM = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
const json = (target: string, version: string) => ({
  "x-amz-target": target,
  "content-type": `application/x-amz-json-${version}`,
});

describe("routing", () => {
  const F = "/2015-03-31/functions";
  const rows: [
    line: string,
    signingName: string | undefined,
    expected: string,
    headers?: Record<string, string>,
    body?: string,
  ][] = [
    [`POST ${F}`, "lambda", "lambda CreateFunction restJson1"],
    [`GET ${F}/`, "lambda", "lambda ListFunctions restJson1"],
    [`GET ${F}/f`, undefined, "lambda GetFunction restJson1"],
    [`POST ${F}/f/invocations`, "lambda", "lambda Invoke restJson1"],
    [
      `POST ${F}/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations`,
      "lambda",
      "lambda Invoke restJson1",
    ],
    [`POST ${F}/f/invocations`, undefined, "lambda Invoke restJson1", FORM, "{}"],
    ["GET /2018-10-31/layers?find=LayerVersion&Arn=a", "lambda", "lambda GetLayerVersionByArn restJson1"],
    ["GET /2018-10-31/layers?CompatibleRuntime=nodejs24.x", "lambda", "lambda ListLayers restJson1"],
    [
      "GET /2019-09-30/functions/f/provisioned-concurrency?List=ALL",
      "lambda",
      "lambda ListProvisionedConcurrencyConfigs restJson1",
    ],
    [
      "GET /2019-09-30/functions/f/provisioned-concurrency?Qualifier=1",
      "lambda",
      "lambda GetProvisionedConcurrencyConfig restJson1",
    ],
    ["DELETE /2017-03-31/tags/arn%3Ax", "lambda", "lambda UntagResource restJson1"],
    ["POST /", "logs", "logs PutLogEvents awsJson1_1", json("Logs_20140328.PutLogEvents", "1.1")],
    ["POST /", "dynamodb", "dynamodb GetItem awsJson1_0", json("DynamoDB_20120810.GetItem", "1.0")],
    [
      "POST /",
      "dynamodb",
      "dynamodbstreams GetRecords awsJson1_0",
      json("DynamoDBStreams_20120810.GetRecords", "1.0"),
    ],
    ["POST /", "sqs", "sqs SendMessage awsJson1_0", json("AmazonSQS.SendMessage", "1.0")],
    [
      "POST /000000000000/q",
      "sqs",
      "sqs SendMessage awsQuery",
      FORM,
      "Action=SendMessage&Version=2012-11-05",
    ],
    ["POST /", "iam", "iam ListUsers awsQuery", FORM, "Action=ListUsers&Version=2010-05-08"],
    [
      "POST /",
      undefined,
      "sts AssumeRoleWithWebIdentity awsQuery",
      FORM,
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15",
    ],
    ["GET /?Action=GetCallerIdentity&Version=2011-06-15", undefined, "sts GetCallerIdentity awsQuery"],
    [
      "POST /",
      "monitoring",
      "cloudwatch PutMetricData awsJson1_0",
      json("GraniteServiceVersion20100801.PutMetricData", "1.0"),
    ],
    [
      "POST /service/GraniteServiceVersion20100801/operation/PutMetricData",
      "monitoring",
      "cloudwatch PutMetricData rpcv2Cbor",
      { "smithy-protocol": "rpc-v2-cbor" },
    ],
    ["GET /restapis", "apigateway", "apigateway GetRestApis restJson1"],
    ["GET /v2/apis", "apigateway", "apigatewayv2 GetApis restJson1"],
    ["GET /", "s3", "s3 ListBuckets restXml"],
    ["GET /b", "s3", "s3 ListObjects restXml"],
    ["GET /b/?list-type=2", "s3", "s3 ListObjectsV2 restXml"],
    ["GET /b?location", "s3", "s3 GetBucketLocation restXml"],
    ["PUT /b/k", "s3", "s3 PutObject restXml"],
    ["PUT /b/k?x-id=PutObject", "s3", "s3 PutObject restXml"],
    ["PUT /b/k", "s3", "s3 CopyObject restXml", { "x-amz-copy-source": "/b/other" }],
    ["PUT /b/k?partNumber=1&uploadId=u", "s3", "s3 UploadPart restXml"],
    [
      "PUT /b/k?partNumber=1&uploadId=u",
      "s3",
      "s3 UploadPartCopy restXml",
      { "x-amz-copy-source": "/b/other" },
    ],
    ["GET /b/k?uploadId=u", "s3", "s3 ListParts restXml"],
    ["GET /b/a/b/c", undefined, "s3 GetObject restXml"],
    ["GET /k", "s3", "s3 GetObject restXml", { host: "b.s3.us-east-1.amazonaws.com" }],
    ["GET /k", "s3", "s3 GetObject restXml", { host: "b.localhost:4566" }],
    ["GET /b", "s3", "s3 ListObjects restXml", { host: "s3.localhost:4566" }],
  ];
  for (const [line, signingName, expected, headers, body] of rows) {
    it(`${line} signed for ${signingName} is ${expected}`, () => {
      const match = mustFind(requestOf(line, headers, body), signingName);
      assert.equal(`${match.service} ${match.operation} ${match.protocol}`, expected);
    });
  }

  const nothing: [
    line: string,
    signingName: string | undefined,
    headers?: Record<string, string>,
    body?: string,
  ][] = [
    ["PATCH /2015-03-31/functions", "lambda"],
    ["GET /2015-03-31/functions/f/unknown", "lambda"],
    ["GET /2015-03-31/functions", "no-such-service"],
    ["POST /", "logs", json("Logs_20140328.NoSuchOperation", "1.1")],
    ["POST /", "logs", json("__proto__.constructor", "1.1")],
    ["POST /", "iam", FORM, "Action=NoSuchAction&Version=2010-05-08"],
    ["POST /", "iam", FORM, "Action=ListUsers&Version=1999-01-01"],
    ["POST /", "iam", FORM, "Action=constructor&Version=2010-05-08"],
  ];
  for (const [line, signingName, headers, body] of nothing) {
    it(`${line} ${headers?.["x-amz-target"] ?? body ?? ""} is nothing`, () => {
      assert.equal(find(requestOf(line, headers, body), signingName), undefined);
    });
  }

  it("captures labels as they came, and decodes them in the input", () => {
    const request = requestOf(
      "GET /2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af",
    );
    const match = mustFind(request, "lambda");
    assert.equal(match.labels["Resource"], "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af");
    assert.equal(
      protocols.decode(match, request)["Resource"],
      "arn:aws:lambda:us-east-1:000000000000:function:f",
    );
  });

  it("keeps the slashes of an S3 key", () => {
    const request = requestOf("GET /b/folder//x/", { host: "localhost" });
    const match = mustFind(request, "s3");
    const { Bucket, Key } = protocols.decode(match, request);
    assert.deepEqual([Bucket, Key], ["b", "folder//x/"]);
  });

  it("tells the body's limit and the missing signature from the model", () => {
    assert.equal(
      mustFind(requestOf("POST /2015-03-31/functions/f/invocations"), "lambda").bodyBytesMax,
      INVOKE_REQUEST_BYTES_MAX,
    );
    const form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15";
    assert.equal(mustFind(requestOf("POST /", FORM, form), undefined).auth, "none");
  });
});

describe("inputs", () => {
  it("passes an Invoke's payload through without a copy", () => {
    const request = requestOf(
      "POST /2015-03-31/functions/f/invocations",
      { "x-amz-log-type": "Tail" },
      '{"a":1}',
    );
    const input = protocols.decode(mustFind(request, "lambda"), request);
    assert.deepEqual(input, { FunctionName: "f", LogType: "Tail", Payload: request.body });
    assert.equal(input["Payload"], request.body);
  });

  it("takes a name that an object has anyway for what it is", () => {
    const body = '{"Tags":{"__proto__":"a","constructor":"b"}}';
    const request = requestOf(
      "POST /2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af",
      {},
      body,
    );
    const { Tags } = protocols.decode(mustFind(request, "lambda"), request);
    assert.deepEqual(Object.entries(Tags as object), [
      ["__proto__", "a"],
      ["constructor", "b"],
    ]);
    assert.equal(Object.getPrototypeOf(Tags), Object.prototype);
  });

  it("reads SQS's query-era names", () => {
    const body =
      "Action=SendMessage&Version=2012-11-05&QueueUrl=u&MessageBody=hi&MessageAttribute.1.Name=n" +
      "&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v";
    const request = requestOf("POST /", FORM, body);
    assert.deepEqual(protocols.decode(mustFind(request, "sqs"), request), {
      QueueUrl: "u",
      MessageBody: "hi",
      MessageAttributes: { n: { DataType: "String", StringValue: "v" } },
    });
  });

  it("decompresses where the model says that clients compress", () => {
    const headers = {
      ...json("GraniteServiceVersion20100801.PutMetricData", "1.0"),
      "content-encoding": "gzip",
    };
    const plain = { Namespace: "n", MetricData: [{ MetricName: "m", Value: 1 }] };
    const request = { ...requestOf("POST /", headers), body: gzipSync(JSON.stringify(plain)) };
    assert.deepEqual(protocols.decode(mustFind(request, "monitoring"), request), plain);
  });

  const broken: [what: string, body: string, message: RegExp][] = [
    ["no JSON", "{", /Could not parse request body into json/],
    ["a number for a string", '{"FunctionName":5}', /NUMBER_VALUE can not be converted to a String/],
    ["a string for a number", '{"Timeout":"3"}', /STRING_VALUE can not be converted to an Integer/],
    ["a list for a structure", '{"Code":[]}', /Start of list found where not expected/],
    ["a string for a list", '{"Layers":"a"}', /Expected list or null/],
    ["no base64", '{"Code":{"ZipFile":"AAA"}}', /not valid base64/],
  ];
  for (const [what, body, message] of broken) {
    it(`refuses ${what} as SerializationException`, () => {
      const request = requestOf("POST /2015-03-31/functions", {}, body);
      const match = mustFind(request, "lambda");
      assert.throws(
        () => protocols.decode(match, request),
        (error) =>
          error instanceof AwsError && error.code === "SerializationException" && message.test(error.message),
      );
    });
  }

  it("refuses a nesting that no stack holds as SerializationException", () => {
    const depth = 200_000;
    const body = `{"TableName":"t","Item":{"a":${'{"L":['.repeat(depth)}${"]}".repeat(depth)}}}`;
    const request = requestOf("POST /", json("DynamoDB_20120810.PutItem", "1.0"), body);
    const match = mustFind(request, "dynamodb");
    assert.throws(
      () => protocols.decode(match, request),
      (error) => error instanceof AwsError && error.code === "SerializationException",
    );
  });
});

describe("errors", () => {
  const invoke = mustFind(requestOf("POST /2015-03-31/functions/f/invocations"), "lambda");
  const sqs = mustFind(requestOf("POST /", json("AmazonSQS.GetQueueUrl", "1.0")), "sqs");
  const iam = mustFind(requestOf("POST /", FORM, "Action=GetRole&Version=2010-05-08"), "iam");
  const s3 = mustFind(requestOf("GET /b/k"), "s3");

  function told(match: Match | undefined, error: AwsError): { response: WireResponse; text: string } {
    const response = protocols.encodeError(match, error, "request-1");
    assert(Buffer.isBuffer(response.body));
    assert.equal(response.headers["x-amzn-RequestId"], "request-1");
    return { response, text: response.body.toString() };
  }

  it("restJson1: the type in a header, members as the shape spells them, the model's status", () => {
    const missing = told(invoke, resourceNotFound("Function not found: f"));
    assert.equal(missing.response.status, 404);
    assert.equal(missing.response.headers["x-amzn-errortype"], "ResourceNotFoundException");
    assert.deepEqual(JSON.parse(missing.text), { Type: "User", Message: "Function not found: f" });

    const throttled = told(
      invoke,
      new AwsError("TooManyRequestsException", "Rate Exceeded.", {
        members: { Reason: "ConcurrentInvocationLimitExceeded", retryAfterSeconds: "1" },
      }),
    );
    assert.equal(throttled.response.status, 429);
    assert.equal(throttled.response.headers["Retry-After"], "1");
    assert.deepEqual(JSON.parse(throttled.text), {
      Type: "User",
      message: "Rate Exceeded.",
      Reason: "ConcurrentInvocationLimitExceeded",
    });
    assert.equal(told(invoke, tooManyRequests("CallerRateLimitExceeded")).response.status, 429);
  });

  it("restJson1: an error that no model has", () => {
    const unknown = told(undefined, new AwsError("UnknownOperationException", "no", { status: 404 }));
    assert.equal(unknown.response.status, 404);
    assert.deepEqual(JSON.parse(unknown.text), { message: "no" });
  });

  it("awsJson with a past in awsQuery: the id of the shape, and the old code in a header", () => {
    const { response, text } = told(sqs, new AwsError("QueueDoesNotExist", "gone"));
    assert.equal(response.headers["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
    assert.deepEqual(JSON.parse(text), { __type: "com.amazonaws.sqs#QueueDoesNotExist", message: "gone" });
  });

  it("awsQuery: the model's code and status in XML", () => {
    const { response, text } = told(
      iam,
      new AwsError("NoSuchEntityException", "The role <x> cannot be found."),
    );
    assert.equal(response.status, 404);
    assert.equal(
      text,
      '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>' +
        "<Message>The role &lt;x&gt; cannot be found.</Message></Error><RequestId>request-1</RequestId></ErrorResponse>",
    );
    assert.match(told(iam, validationError("1 validation error")).text, /<Code>ValidationError<\/Code>/);
  });

  it("S3: without the wrapper, with what the error is about", () => {
    const { response, text } = told(
      s3,
      new AwsError("NoSuchKey", "gone", { status: 404, members: { Key: "k" } }),
    );
    assert.equal(response.status, 404);
    assert.match(
      text,
      /<Error><Code>NoSuchKey<\/Code><Message>gone<\/Message>.*<RequestId>request-1<\/RequestId><\/Error>$/,
    );
  });

  it("rpc-v2-cbor: a body in CBOR", () => {
    const match: Match = { ...sqs, service: "cloudwatch", operation: "PutMetricData", protocol: "rpcv2Cbor" };
    const { response } = told(match, new AwsError("InvalidParameterValueException", "no"));
    assert.equal(response.headers["smithy-protocol"], "rpc-v2-cbor");
    assert.equal(response.headers["x-amzn-query-error"], "InvalidParameterValue;Sender");
  });
});

describe("rpc-v2-cbor", () => {
  const HALF_FLOAT_TEN = Buffer.from([0xf9, 0x49, 0x00]);

  it("sends a double as a float, whole or not, and an integer as an integer", () => {
    const found = { service: "cloudwatch", operation: "DescribeAlarms", labels: {}, bodyBytesMax: 1 };
    const match: Match = { ...found, protocol: "rpcv2Cbor" };
    const output = { MetricAlarms: [{ Threshold: 10, Period: 10 }] };
    const { body } = protocols.encode(match, output, "request-1");
    assert.ok(Buffer.isBuffer(body));
    const [threshold, period] = ["Threshold", "Period"].map((name) => body.indexOf(name) + name.length);
    assert.deepEqual(body.subarray(threshold, (threshold ?? 0) + 3), HALF_FLOAT_TEN);
    assert.equal(body[period ?? -1], 10);
  });
});
