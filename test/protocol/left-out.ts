/**
 * The vectors that do not run, each with its reason. The suite checks that every one exists and does not pass: what is put right
 * must leave the list. Vectors for clients (`appliesTo: client`) and ec2Query, which no service of ours speaks, are not meant.
 */
export type VectorKind = "request" | "response" | "malformed";

interface LeftOut {
  readonly reason: string;
  readonly request?: readonly string[];
  readonly response?: readonly string[];
  readonly malformed?: readonly string[];
}

const UNIQUE_ITEMS = [
  "Blob",
  "Boolean",
  "String",
  "Byte",
  "Short",
  "Integer",
  "Long",
  "Timestamp",
  "DateTime",
  "HttpDate",
  "Enum",
  "IntEnum",
  "List",
  "Structure",
  "Union",
];

export const LEFT_OUT: readonly LeftOut[] = [
  {
    reason: "botocore's models have no default values: services apply their own",
    request: [
      "RestJsonServerPopulatesDefaultsWhenMissingInRequestBody",
      "RestJsonServerPopulatesNestedDefaultsWhenMissingInRequestBody",
      "AwsJson10ServerPopulatesDefaultsWhenMissingInRequestBody",
      "AwsJson10ServerPopulatesNestedDefaultsWhenMissingInRequestBody",
      "RpcV2CborServerPopulatesDefaultsWhenMissingInRequestBody",
    ],
    response: [
      "RestJsonServerPopulatesDefaultsInResponseWhenMissingInParams",
      "RestJsonServerPopulatesNestedDefaultValuesWhenMissingInInResponseParams",
      "AwsJson10ServerPopulatesDefaultsInResponseWhenMissingInParams",
      "AwsJson10ServerPopulatesNestedDefaultValuesWhenMissingInInResponseParams",
      "RpcV2CborServerPopulatesDefaultsInResponseWhenMissingInParams",
    ],
  },
  {
    reason:
      "botocore's models do not tell sparse collections from dense ones: a null in one is a validation error",
    request: [
      "RestJsonSparseListsSerializeNull",
      "RestJsonSerializesSparseNullMapValues",
      "RestJsonSerializesSparseSetMapAndRetainsNull",
      "AwsJson11SparseMapsSerializeNullValues",
      "AwsJson11SparseListsSerializeNull",
      "RpcV2CborSerializesNullMapValues",
      "RpcV2CborSerializesSparseSetMapAndRetainsNull",
      "RpcV2CborSparseMapsSerializeNullValues",
      "RpcV2CborSparseListsSerializeNull",
    ],
  },
  {
    reason: "Lambda answers ValidationException (Member must not be null), not SerializationException",
    malformed: ["RestJsonBodyMalformedListNullItem", "RestJsonBodyMalformedMapNullValue"],
  },
  {
    reason: "the vector has headers only; the compressed body, which the server needs, is left to the client",
    request: [
      "SDKAppliedContentEncoding_restJson1",
      "SDKAppendedGzipAfterProvidedEncoding_restJson1",
      "SDKAppliedContentEncoding_restXml",
      "SDKAppendedGzipAfterProvidedEncoding_restXml",
      "SDKAppliedContentEncoding_awsJson1_0",
      "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0",
      "SDKAppliedContentEncoding_awsJson1_1",
      "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1",
      "SDKAppliedContentEncoding_awsQuery",
      "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery",
    ],
  },
  {
    reason:
      "the params hold what does not travel (an empty collection), or lack what does (an empty structure)",
    request: [
      "RestJsonOmitsEmptyListQueryValues",
      "RestJsonHttpWithEmptyStructurePayload",
      "RestJsonHttpWithHeadersButNoPayload",
      "QueryEmptyQueryMaps",
    ],
  },
  {
    reason:
      "the params leave bound parameters out of httpQueryParams; Smithy asks servers to put them in, as in restJson1's vectors",
    request: [
      "AllQueryStringTypes",
      "RestXmlQueryStringEscaping",
      "RestXmlSupportsNaNFloatQueryValues",
      "RestXmlSupportsInfinityFloatQueryValues",
      "RestXmlSupportsNegativeInfinityFloatQueryValues",
      "RestXmlZeroAndFalseQueryValues",
    ],
  },
  {
    reason:
      "what a client must understand and we do not send: offsets of time zones, members of no model, no body, S3's Type",
    response: [
      "RestXmlDateTimeWithNegativeOffset",
      "RestXmlDateTimeWithPositiveOffset",
      "InvalidGreetingError",
      "ComplexError",
      "AwsJson10ServiceRespondsWithNoPayload",
      "json_1_1_service_responds_with_no_payload",
      "S3OperationNoErrorWrappingResponse",
    ],
  },
  {
    reason: "the vector's headers are a request's",
    response: ["AwsJson11IntEnums"],
  },
  {
    reason: "a media type for a body that is not there",
    response: ["RestXmlHttpResponseCode", "IgnoreQueryParamsInResponse"],
  },
  {
    reason:
      "botocore's models have no media types of blobs: handlers set Content-Type where a member is bound to it",
    response: [
      "RestJsonHttpPayloadTraitsWithMediaTypeWithBlob",
      "RestJsonStreamingTraitsWithMediaTypeWithBlob",
      "HttpPayloadTraitsWithMediaTypeWithBlob",
    ],
  },
  {
    reason:
      "AWS's services take requests whose Content-Type and Accept say nothing or something else: botocore sends none for JSON",
    malformed: [
      "RestJsonStringPayloadNoContentType",
      "RestJsonStringPayloadWrongContentType",
      "RestJsonStringPayloadUnsatisfiableAccept",
      "RestJsonWithBodyExpectsApplicationJsonAccept",
      "RestJsonWithPayloadExpectsImpliedAccept",
      "RestJsonWithPayloadExpectsModeledAccept",
      "RestJsonWithBodyExpectsApplicationJsonContentType",
      "RestJsonWithBodyExpectsApplicationJsonContentTypeNoHeaders",
      "RestJsonWithoutBodyExpectsEmptyContentType",
      "RestJsonWithoutBodyEmptyInputExpectsEmptyContentType",
      "RestJsonWithPayloadExpectsModeledContentType",
      "RestJsonWithPayloadExpectsImpliedContentType",
    ],
  },
  {
    reason: "botocore's models know no byte and no short, only integer",
    malformed: ["Body", "Path", "Query", "Header"].flatMap((place) => [
      `RestJson${place}ByteUnderflowOverflow`,
      `RestJson${place}ShortUnderflowOverflow`,
    ]),
  },
  {
    reason: "time stamps with an offset are taken",
    malformed: [
      "RestJsonBodyTimestampDateTimeRejectsUTCOffsets",
      "RestJsonPathTimestampDefaultRejectsUTCOffsets",
    ],
  },
  {
    reason: "botocore's models do not say that items must be unique",
    malformed: UNIQUE_ITEMS.map((type) => `RestJsonMalformedUniqueItems${type}List`),
  },
];

/** The reason for which a vector does not run. */
export function reasonLeftOut(kind: VectorKind, id: string): string | undefined {
  return LEFT_OUT.find((entry) => entry[kind]?.includes(id))?.reason;
}
